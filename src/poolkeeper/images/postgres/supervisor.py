"""PID 1 of a node: starts Patroni, collects ended processes, and ends the complete node when its postmaster crashes.

Invariants. (1) Before any process of this life of the node could run PostgreSQL, the store holds this incarnation under
/poolkeeper/CLUSTER/nodes/NODE. An agent that knows of an earlier incarnation compares the two and does not act on this
one. (2) When this process has ended, no process of the node is left: the kernel ends them all (PID namespace). A
process that observes its end has proof that this incarnation writes nothing any more. (3) A node without data makes no
cluster unless it is declared to (POOLKEEPER_INITIALIZES): the others wait until the store has one to clone.

It does not promise that Patroni or PostgreSQL are healthy, and takes no part in leader election. A postmaster that
exits, with whatever status, has ended its own processes first: that is left to Patroni. Only one that was killed by a
signal, and may leave processes behind, ends the node. It needs the standard library of Python only.
"""

from __future__ import annotations

import binascii
import contextlib
import json
import os
import signal
import socket
import sys
import time

TYPE_CHECKING = False  # as typing's constant, whose import would cost memory and start time
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, NoReturn

    Member = tuple[str, int]  # host and port of an etcd member
    Attempt = Callable[[Member, float], bool]

PATRONI = ("/usr/bin/patroni", "/etc/poolkeeper/patroni.yml")
DATA = "/var/lib/postgresql/data/pgdata"
HANDLED = (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
STOPS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)  # kill a postmaster only before it has a handler, or a child
TXN = "/v3/kv/txn"
RANGE = "/v3/kv/range"
STORE_TIMEOUT = 1.0  # seconds, for each step of one attempt at one member
# The same in the first round: a member without a leader yet (all start together) takes a request and does not answer.
STORE_FIRST_TIMEOUT = 0.2
STORE_PAUSE = 0.1  # seconds between two rounds over the members
QUICK_ENDS, QUICK_SECONDS = 5, 30.0  # if Patroni ends 5 times within 30 s, it will not come up
CRASHED, HOPELESS = 70, 71  # exit codes


def log(event: str, **facts: object) -> None:
    """Print one line of JSON; Docker adds the time."""
    sys.stdout.write(json.dumps({"supervisor": event, **facts}) + "\n")
    sys.stdout.flush()


def option(argv: list[str], name: str) -> str:
    """Return the value after `name`.

    Raises:
        ValueError: if the option is missing.
    """
    return argv[argv.index(name) + 1]


def members(text: str) -> list[Member]:
    """Return `host:port,host:port` as pairs."""
    pairs = (part.rpartition(":") for part in text.split(",") if part)
    return [(host, int(port)) for host, _, port in pairs]


def to_base64(text: str) -> str:
    """Encode a key or value, as etcd's JSON gateway takes and gives them."""
    return binascii.b2a_base64(text.encode(), newline=False).decode()


def record_request(key: str, value: str, revision: int) -> dict[str, Any]:
    """Return the request that puts the record if it is still at `revision` (0: absent), else reads the present one.

    Never an unconditional put: a delayed one, delivered after it was given up, could restore an earlier life's record.
    """
    key = to_base64(key)
    return {
        "compare": [{"key": key, "target": "MOD", "mod_revision": str(revision)}],
        "success": [{"request_put": {"key": key, "value": to_base64(value)}}],
        "failure": [{"request_range": {"key": key}}],
    }


def record_answer(answer: dict[str, Any], value: str) -> tuple[bool, int]:
    """Return (True, …) when the store has our record, else (False, the revision to try next)."""
    if answer.get("succeeded"):
        return True, 0
    found = answer["responses"][0]["response_range"].get("kvs", [])
    if not found:
        return False, 0
    # An earlier attempt of ours may have arrived although its answer did not.
    return found[0]["value"] == to_base64(value), int(found[0]["mod_revision"])


def post(member: Member, path: str, body: dict[str, Any], timeout: float = STORE_TIMEOUT) -> dict[str, Any]:
    """Send one HTTP request and return the JSON of the answer. http.client would cost 60 ms.

    Raises:
        OSError: if the member does not answer.
        ValueError: if it refuses, or answers without JSON.
    """
    data = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.0\r\nHost: {member[0]}\r\nContent-Length: {len(data)}\r\n\r\n"
    with socket.create_connection(member, timeout) as connection:
        connection.sendall(head.encode() + data)
        with connection.makefile("rb") as stream:
            if stream.readline().split()[1:2] != [b"200"]:
                raise ValueError("the store refused")
            while stream.readline().strip():
                pass
            answer: dict[str, Any] = json.loads(stream.read())
            return answer


def retry(store: Sequence[Member], attempt: Attempt) -> bool:
    """Call `attempt` on one member after the other, without a limit of time, until it returns True.

    `attempt` takes a member and a timeout. When it returns False, or raises OSError, ValueError or LookupError, the
    next member is tried. Returns False when the node was asked to stop meanwhile.
    """
    timeout, is_reported = STORE_FIRST_TIMEOUT, False
    while True:
        for member in store:
            try:
                if attempt(member, timeout):
                    return True
            except (OSError, ValueError, LookupError) as error:
                if not is_reported and timeout == STORE_TIMEOUT:
                    log("waits for the store", member=f"{member[0]}:{member[1]}", error=str(error))
                    is_reported = True
        timeout = STORE_TIMEOUT
        received = signal.sigtimedwait(HANDLED, STORE_PAUSE)
        if received and received.si_signo in STOPS:
            return False


class RecordWriter:
    """Writes the node's record, and keeps the revision that the store last reported of it."""

    def __init__(self, key: str, value: str) -> None:
        self.key, self.value = key, value
        self.revision = 0

    def attempt(self, member: Member, timeout: float) -> bool:
        """Try to write the record through one member; return whether the store has it."""
        for _ in range(2):  # after a restart, the first try only reads the revision
            answer = post(member, TXN, record_request(self.key, self.value, self.revision), timeout)
            done, self.revision = record_answer(answer, self.value)
            if done:
                return True
        return False


def wait_for_cluster(store: Sequence[Member], scope: str) -> bool:
    """Wait until a node has begun to initialize the cluster; return False when asked to stop meanwhile."""
    log("waits for a cluster to clone", scope=scope)
    request = {"key": to_base64(f"/service/{scope}/initialize"), "count_only": True}
    return retry(store, lambda member, timeout: int(post(member, RANGE, request, timeout).get("count", 0)) > 0)


def may_initialize(data: str, declared: bool) -> bool:
    """Return whether Patroni may start at once: the node has data already, or it is declared to make the cluster."""
    return declared or os.path.exists(os.path.join(data, "PG_VERSION"))


def lock_file(data: str) -> tuple[int, int] | None:
    """Return the process and its start (seconds since the epoch) of PostgreSQL's lock file; None if it has none."""
    try:
        with open(os.path.join(data, "postmaster.pid"), encoding="utf-8") as file:
            lines = file.read().splitlines()
        return int(lines[0]), int(lines[2])
    except (OSError, ValueError, IndexError):
        return None


def postmaster(data: str, former: tuple[int, int] | None) -> int | None:
    """Return the process that the lock file names, unless the file is still the `former` one; else None.

    A file of an earlier life names a number that any other process may have now. Its time is compared with no clock,
    which may have been set back since. A single-user server has a negative number.
    """
    found = lock_file(data)
    return found[0] if found and found != former and found[0] > 0 else None


def crashed(status: int) -> bool:
    """Return whether a postmaster with this wait status ended without ending its processes."""
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) not in STOPS


def ends_too_often(ends: list[float], now: float) -> bool:
    """Return whether Patroni ended too often (`ends` in monotonic seconds) in too short a time."""
    return len([end for end in ends if now - end <= QUICK_SECONDS]) >= QUICK_ENDS


def is_alive(pid: int) -> bool:
    """Return whether the process exists. One of another user would be none of ours."""
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True


class SupervisedNode:
    """One life of the node: Patroni, and the processes that it starts."""

    def __init__(self, data: str) -> None:
        self.data = data
        self.former = lock_file(data)  # left by an earlier life
        self.patroni = 0
        self.ends: list[float] = []
        self.stopping = False

    def start_patroni(self) -> None:
        """Start Patroni with none of this process's signals blocked."""
        self.patroni = os.posix_spawn(PATRONI[0], PATRONI, os.environ, setsigmask=[], setsigdef=HANDLED)

    def end(self, cause: str, code: int, **facts: object) -> NoReturn:
        """Kill every process of the node, and exit."""
        log("ends the node", cause=cause, **facts)
        for pid in (self.patroni or -1, -1):  # Patroni first: it must not see, and publish, that its server is gone
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        os._exit(code)

    def forward(self, number: int) -> None:
        """Send a signal on to Patroni; remember one that asks for a stop."""
        if number == signal.SIGCHLD:
            return
        self.stopping = self.stopping or number != signal.SIGHUP
        if self.patroni:
            os.kill(self.patroni, number)

    def collect(self) -> None:
        """Collect every process that has ended, and react to the end of Patroni and of the postmaster."""
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

    def patroni_ended(self, status: int) -> None:
        """Start Patroni again while PostgreSQL runs; else end the node, as Patroni's orphans may change the data."""
        self.patroni = 0
        code = os.waitstatus_to_exitcode(status)
        if self.stopping:
            return
        now = time.monotonic()
        self.ends.append(now)
        server = postmaster(self.data, self.former)
        if server is None or not is_alive(server):
            self.end("Patroni ended and PostgreSQL does not run", HOPELESS, status=code)
        if ends_too_often(self.ends, now):
            self.end("Patroni ends again and again", HOPELESS, status=code, ends=len(self.ends))
        log("starts Patroni again", status=code, postmaster=server)
        self.start_patroni()

    def stopped(self) -> bool:
        """Return whether a requested stop is complete; stop a server that Patroni left running (paused)."""
        if not self.stopping or self.patroni:
            return False
        server = postmaster(self.data, self.former)
        if server is None or not is_alive(server):
            return True
        os.kill(server, signal.SIGINT)
        return False


def record_of(incarnation: str) -> str:
    """Return the node's record as JSON: this incarnation, the machine's boot, and the time."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        boot = file.read().strip()
    started = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return json.dumps({"incarnation": incarnation, "boot": boot, "started": started})


def main() -> None:
    """Write the record, start Patroni, and handle signals until the node has stopped."""
    signal.pthread_sigmask(signal.SIG_BLOCK, HANDLED)
    node, record = option(sys.argv, "--node"), record_of(option(sys.argv, "--incarnation"))
    life = SupervisedNode(os.environ.get("POOLKEEPER_DATA", DATA))
    cluster, store = os.environ["POOLKEEPER_CLUSTER"], members(os.environ["POOLKEEPER_ETCD"])
    if not retry(store, RecordWriter(f"/poolkeeper/{cluster}/nodes/{node}", record).attempt):
        return
    declared = os.environ.get("POOLKEEPER_INITIALIZES") == "yes"
    if not may_initialize(life.data, declared) and not wait_for_cluster(store, cluster):
        return
    life.start_patroni()
    while not life.stopped():
        life.forward(signal.sigwaitinfo(HANDLED).si_signo)
        life.collect()


if __name__ == "__main__":
    main()
