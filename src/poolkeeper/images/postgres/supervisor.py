"""PID 1 of a node: starts Patroni, collects the dead, and ends the node as a whole when its postmaster crashes.

Invariants. (1) Before any process of this life of the node could run PostgreSQL, the store holds this incarnation under
/poolkeeper/CLUSTER/nodes/NODE, so that an agent who knows of an earlier one can compare, and keep its hands off.
(2) When this process has ended, no process of the node is left: the kernel sees to that (PID namespace). Whoever sees
its end has proof that this incarnation writes nothing any more. (3) A node without data makes no cluster unless it is
the one that is declared to (POOLKEEPER_INITIALIZES): the others wait until the store says that there is one to clone.

It does not promise that Patroni or PostgreSQL are healthy; it has no opinion on who leads. A postmaster that exits by
itself, with whatever status, has ended its own processes first: that is left to Patroni. Only one that was killed by a
signal, and may leave processes behind, ends the node. It needs the standard library of Python only.
"""

import binascii
import contextlib
import json
import os
import signal
import socket
import sys
import time

PATRONI = ("/usr/bin/patroni", "/etc/poolkeeper/patroni.yml")
DATA = "/var/lib/postgresql/data/pgdata"
HEARD = (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
STOPS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)  # kill a postmaster only before it has a handler, or a child
TXN = "/v3/kv/txn"
RANGE = "/v3/kv/range"
STORE_TIMEOUT = 1.0  # seconds, for each step of one attempt at one member
# The same in the first round: a member without a leader yet (all start together) takes a request and does not answer.
STORE_FIRST_TIMEOUT = 0.2
STORE_PAUSE = 0.1  # seconds between two rounds over the members
QUICK_ENDS, QUICK_SECONDS = 5, 30.0  # so many ends of Patroni in such a time: it will not come up by itself
CRASHED, HOPELESS = 70, 71  # exit codes


def say(event, **facts):
    """One line of JSON on stdout; Docker adds the time."""
    sys.stdout.write(json.dumps({"supervisor": event, **facts}) + "\n")
    sys.stdout.flush()


def option(argv, name):
    """The value after `name`; ValueError when it is missing."""
    return argv[argv.index(name) + 1]


def members(text):
    """`host:port,host:port` as pairs."""
    pairs = (part.rpartition(":") for part in text.split(",") if part)
    return [(host, int(port)) for host, _, port in pairs]


def coded(text):
    """etcd's JSON gateway takes and gives keys and values in base64."""
    return binascii.b2a_base64(text.encode(), newline=False).decode()


def record_request(key, value, revision):
    """Put the record if it is still at `revision` (0: there is none), else say what is there.

    Never an unconditional put: one that was sent, given up and delivered late could bring a dead life's record back.
    """
    key = coded(key)
    return {
        "compare": [{"key": key, "target": "MOD", "mod_revision": str(revision)}],
        "success": [{"request_put": {"key": key, "value": coded(value)}}],
        "failure": [{"request_range": {"key": key}}],
    }


def record_answer(answer, value):
    """(True, 0) when the store has our record, else (False, the revision to try next)."""
    if answer.get("succeeded"):
        return True, 0
    found = answer["responses"][0]["response_range"].get("kvs", [])
    if not found:
        return False, 0
    # An earlier attempt of ours may have arrived although its answer did not.
    return found[0]["value"] == coded(value), int(found[0]["mod_revision"])


def post(member, path, body, timeout=STORE_TIMEOUT):
    """One HTTP request; the answer's JSON. OSError or ValueError when there is none. http.client would cost 60 ms."""
    data = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.0\r\nHost: {member[0]}\r\nContent-Length: {len(data)}\r\n\r\n"
    with socket.create_connection(member, timeout) as connection:
        connection.sendall(head.encode() + data)
        with connection.makefile("rb") as stream:
            if stream.readline().split()[1:2] != [b"200"]:
                raise ValueError("the store refused")
            while stream.readline().strip():
                pass
            return json.loads(stream.read())


def until(store, attempt):
    """Attempt it at one member after the other, however long it takes; False when the node was asked to stop meanwhile.

    `attempt` takes a member and a timeout; it returns whether that was it, or raises OSError, ValueError, LookupError.
    """
    timeout, complained = STORE_FIRST_TIMEOUT, False
    while True:
        for member in store:
            try:
                if attempt(member, timeout):
                    return True
            except (OSError, ValueError, LookupError) as error:
                if not complained and timeout == STORE_TIMEOUT:
                    say("waits for the store", member=f"{member[0]}:{member[1]}", error=str(error))
                    complained = True
        timeout = STORE_TIMEOUT
        heard = signal.sigtimedwait(HEARD, STORE_PAUSE)
        if heard and heard.si_signo in STOPS:
            return False


def write_record(store, key, value):
    """Write the record; False when the node was asked to stop meanwhile."""
    revision = 0

    def attempt(member, timeout):
        nonlocal revision
        for _ in range(2):  # after a restart, the first try only learns the revision
            answer = post(member, TXN, record_request(key, value, revision), timeout)
            done, revision = record_answer(answer, value)
            if done:
                return True
        return False

    return until(store, attempt)


def wait_for_cluster(store, scope):
    """Wait until some node has begun to initialize the cluster; False when the node was asked to stop meanwhile."""
    say("waits for a cluster to clone", scope=scope)
    request = {"key": coded(f"/service/{scope}/initialize"), "count_only": True}
    return until(store, lambda member, timeout: int(post(member, RANGE, request, timeout).get("count", 0)) > 0)


def may_initialize(data, declared):
    """Whether Patroni may start at once: it has data already, or this is the node that is declared to make it."""
    return declared or os.path.exists(os.path.join(data, "PG_VERSION"))


def lock_file(data):
    """The process and its start (seconds since the epoch) in PostgreSQL's lock file; None where it names none."""
    try:
        with open(os.path.join(data, "postmaster.pid"), encoding="utf-8") as file:
            lines = file.read().splitlines()
        return int(lines[0]), int(lines[2])
    except (OSError, ValueError, IndexError):
        return None


def postmaster(data, former):
    """The process that the lock file names, unless the file is still the `former` one; else None.

    A file of an earlier life names a process that is any other one now. Its time is compared with no clock, which may
    have been set back since. A single-user server has a negative number.
    """
    found = lock_file(data)
    return found[0] if found and found != former and found[0] > 0 else None


def crashed(status):
    """Whether a postmaster that ended with this wait status left its processes to themselves."""
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) not in STOPS


def endless(ends, now):
    """Whether the ends of Patroni (monotonic seconds) are too many in too short a time."""
    return len([end for end in ends if now - end <= QUICK_SECONDS]) >= QUICK_ENDS


def alive(pid):
    """Whether a process is there; one of another user would be none of ours."""
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True


class Node:
    """One life of the node: Patroni, and what it starts."""

    def __init__(self, data):
        """Nothing is started yet."""
        self.data = data
        self.former = lock_file(data)  # left by an earlier life
        self.patroni = 0
        self.ends = []
        self.stopping = False

    def start_patroni(self):
        """Patroni, with the signals that this process keeps to itself."""
        self.patroni = os.posix_spawn(PATRONI[0], PATRONI, os.environ, setsigmask=[], setsigdef=HEARD)

    def end(self, cause, code, **facts):
        """Nothing of the node outlives this."""
        say("ends the node", cause=cause, **facts)
        for pid in (self.patroni or -1, -1):  # Patroni first: it must not see, and tell, that its server is gone
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        os._exit(code)

    def hear(self, number):
        """Hand a signal on; one that asks for an end is remembered."""
        if number == signal.SIGCHLD:
            return
        self.stopping = self.stopping or number != signal.SIGHUP
        if self.patroni:
            os.kill(self.patroni, number)

    def collect(self):
        """Collect every process that has ended, and act on the two that matter."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid == self.patroni:
                self.patroni_ended(status)
            elif crashed(status) and pid == postmaster(self.data, self.former):
                self.end("the postmaster was killed", CRASHED, signal=os.WTERMSIG(status), pid=pid)

    def patroni_ended(self, status):
        """While PostgreSQL runs on, a new Patroni takes it over. Without, Patroni's orphans may be at the data."""
        self.patroni = 0
        code = os.waitstatus_to_exitcode(status)
        if self.stopping:
            return
        now = time.monotonic()
        self.ends.append(now)
        server = postmaster(self.data, self.former)
        if server is None or not alive(server):
            self.end("Patroni ended and PostgreSQL does not run", HOPELESS, status=code)
        if endless(self.ends, now):
            self.end("Patroni ends again and again", HOPELESS, status=code, ends=len(self.ends))
        say("starts Patroni again", status=code, postmaster=server)
        self.start_patroni()

    def stopped(self):
        """Whether a wanted stop is complete; a server that Patroni left running (paused) is stopped too."""
        if not self.stopping or self.patroni:
            return False
        server = postmaster(self.data, self.former)
        if server is None or not alive(server):
            return True
        os.kill(server, signal.SIGINT)
        return False


def main():
    """Write the record, start Patroni, and wait for signals."""
    signal.pthread_sigmask(signal.SIG_BLOCK, HEARD)
    node, incarnation = option(sys.argv, "--node"), option(sys.argv, "--incarnation")
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        boot = file.read().strip()
    started = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    value = json.dumps({"incarnation": incarnation, "boot": boot, "started": started})
    life = Node(os.environ.get("POOLKEEPER_DATA", DATA))
    cluster, store = os.environ["POOLKEEPER_CLUSTER"], members(os.environ["POOLKEEPER_ETCD"])
    if not write_record(store, f"/poolkeeper/{cluster}/nodes/{node}", value):
        return
    declared = os.environ.get("POOLKEEPER_INITIALIZES") == "yes"
    if not may_initialize(life.data, declared) and not wait_for_cluster(store, cluster):
        return
    life.start_patroni()
    while not life.stopped():
        life.hear(signal.sigwaitinfo(HEARD).si_signo)
        life.collect()


if __name__ == "__main__":
    main()
