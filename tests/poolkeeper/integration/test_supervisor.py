"""A lone node with a store of its own: its supervisor while one of its processes is killed, or all are.

The tests share the node, and each leaves it running as the primary.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from tests.poolkeeper.integration.conftest import Bench, Benches
from tests.poolkeeper.unit import snapshots

from poolkeeper.core import wait
from poolkeeper.render import patroni_config
from poolkeeper.system import compose, process

pytestmark = pytest.mark.integration

SUBNET, ADDRESS = "10.97.0.0/24", "10.97.0.11"
RSS_KB = 16_000  # the memory that the supervisor may use
FIND_PATRONI = "grep -lz '^/usr/bin/patroni' /proc/[0-9]*/cmdline | head -1 | cut -d/ -f3"
CHECK = 'exec 3<>/dev/tcp/127.0.0.1/8008 && printf "GET /primary HTTP/1.0\\r\\n\\r\\n" >&3 && cat <&3'
LISTEN = """
import socket
with socket.create_server(("127.0.0.1", 9990)) as endpoint:
    print("listens", flush=True)
    with endpoint.accept()[0] as session:
        open("/tmp/endpoint.in", "w").write(session.makefile().readline())
        session.sendall(b"\\n")
"""


def _until(what: str, missing: Callable[[], str | None], seconds: float = 40) -> float:
    """Wait until `missing` returns None; return the seconds that it took."""

    async def check() -> None:
        wait.require(missing())

    began = time.monotonic()
    asyncio.run(wait.wait_for(what, check, seconds=seconds))
    return time.monotonic() - began


@dataclass(frozen=True)
class Lone:
    """The node `alpha` and the store `store`, each a container."""

    bench: Bench
    node: str
    store: str

    def sh(self, script: str) -> str:
        """Return the output of a script inside the node."""
        return process.run(["docker", "exec", self.node, "bash", "-c", script], timeout=60).stdout.strip()

    def record(self) -> dict[str, str]:
        """The node's record in the store."""
        key = f"/poolkeeper/{self.bench.spec.name}/nodes/alpha"
        said = compose.execute(self.store, ["env", "ETCDCTL_API=3", "etcdctl", "get", "--print-value-only", key])
        found: dict[str, str] = json.loads(said)
        return found

    def incarnation(self) -> str:
        """Return the incarnation in the arguments of the node's first process."""
        return self.sh("tr '\\0' ' ' < /proc/1/cmdline").partition("--incarnation ")[2]

    def patroni(self) -> str:
        """Patroni's process number inside the node."""
        return self.sh(FIND_PATRONI)

    def postmaster(self) -> str:
        """The server's process number inside the node."""
        return self.sh(f"head -1 {patroni_config.DATA_DIRECTORY}/postmaster.pid")

    def leads(self) -> float:
        """Wait until it is the primary and its server has left recovery; return the seconds that it took."""

        def missing() -> str | None:
            said = self.sh(CHECK)
            return None if " 200 " in said.partition("\n")[0] and '"location"' in said else said or "nothing"

        return _until("leading", missing)

    def inspect(self, form: str) -> str:
        """A property of the node's container."""
        return process.check(["docker", "inspect", "--format", form, self.node]).strip()

    def said(self) -> str:
        """Everything that the node has printed."""
        return process.run(["docker", "logs", self.node]).output


def _run(bench: Bench, service: str, name: str, *options: str) -> str:
    label = ["--label", "poolkeeper.test=1", "--network", name.rsplit("_", 1)[0], "--network-alias", service]
    argv = ["docker", "run", "-d", "--name", name, "--hostname", service, *label, *options]
    process.check([*argv, *bench.flags(service), bench.service(service)["image"]])
    return name


@pytest.fixture(scope="module")
def lone(benches: Benches) -> Iterator[Lone]:
    """Started, and leading."""
    bench = benches.make(snapshots.blue())
    prefix = f"pk_it_sup_{bench.label.removeprefix('test-')}"
    labels = ["--label", f"{compose.CLUSTER}={bench.label}", "--label", "poolkeeper.test=1"]
    process.check(["docker", "network", "create", *labels, "--subnet", SUBNET, prefix])
    process.check(["docker", "volume", "create", *labels, prefix])
    try:
        store = _run(bench, "store", f"{prefix}_store")
        volume = ["-v", f"{prefix}:/var/lib/postgresql/data"]
        node = _run(bench, "alpha", f"{prefix}_alpha", "--ip", ADDRESS, "--restart", "unless-stopped", *volume)
        made = Lone(bench, node, store)
        print(f"first start to leading: {made.leads():.1f} s")  # noqa: T201
        yield made
    finally:
        compose.remove_all(bench.label)


def test_its_record_names_the_process_that_runs(lone: Lone) -> None:
    """The record is in the store and in the arguments of a small process that does not run as root."""
    record = lone.record()
    assert record["incarnation"] == lone.incarnation()
    assert record["boot"] == lone.sh("cat /proc/sys/kernel/random/boot_id")
    assert lone.sh("stat -c %U /proc/1") == "postgres"
    rss = int(lone.sh("grep VmRSS /proc/1/status").split()[1])
    print(f"supervisor: {rss} kB")  # noqa: T201
    assert rss < RSS_KB


def test_a_killed_patroni_is_replaced_and_the_server_runs_on(lone: Lone) -> None:
    """The server, the node's life and the lease stay the same."""
    postmaster, incarnation, first = lone.postmaster(), lone.incarnation(), lone.patroni()
    lone.sh(f"kill -9 {first}")
    print(f"Patroni killed, until it answers as the primary again: {lone.leads():.1f} s")  # noqa: T201
    assert lone.patroni() not in ("", first)
    assert (lone.postmaster(), lone.incarnation()) == (postmaster, incarnation)


def test_a_killed_server_process_is_left_to_the_postmaster(lone: Lone) -> None:
    """The postmaster restarts its processes, and the node continues."""
    postmaster, incarnation = lone.postmaster(), lone.incarnation()
    lone.sh("kill -9 $(grep -lz 'checkpointer' /proc/[0-9]*/cmdline | head -1 | cut -d/ -f3)")
    _until("recovery", lambda: None if "all server processes terminated" in lone.said() else "not yet")
    lone.leads()
    assert (lone.postmaster(), lone.incarnation()) == (postmaster, incarnation)


def test_a_killed_postmaster_ends_the_node(lone: Lone) -> None:
    """No process of the node is left; the engine starts another life, which first writes its record."""
    incarnation, restarts = lone.incarnation(), int(lone.inspect("{{.RestartCount}}"))
    lone.sh(f"kill -9 {lone.postmaster()}")
    same = "the same record"
    record = _until("another life", lambda: None if lone.record()["incarnation"] != incarnation else same)
    print(f"postmaster killed, until its record / it leads: {record:.1f} s / {record + lone.leads():.1f} s")  # noqa: T201
    assert lone.record()["incarnation"] == lone.incarnation()
    assert int(lone.inspect("{{.RestartCount}}")) == restarts + 1
    assert '"cause": "the postmaster was killed", "signal": 9' in lone.said()


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_stopped_postmaster_is_left_to_patroni(lone: Lone, mode: str) -> None:
    """Any stop mode ends the postmaster's own processes. Patroni starts it again, in the same life."""
    incarnation, postmaster = lone.incarnation(), lone.postmaster()
    lone.sh(f"setpriv --reuid=postgres pg_ctl stop -m {mode} -D {patroni_config.DATA_DIRECTORY}")
    _until("another server", lambda: None if lone.postmaster() not in ("", postmaster) else "none")
    lone.leads()
    assert lone.incarnation() == incarnation


def test_a_requested_stop_is_clean(lone: Lone) -> None:
    """The exit code is 0, the server was shut down, and the next start begins another life."""
    incarnation = lone.incarnation()
    process.check(["docker", "stop", "--time", "30", lone.node])
    assert lone.inspect("{{.State.ExitCode}}") == "0"
    volume = lone.node.rsplit("_", 1)[0]
    image = lone.bench.images["postgres"]
    argv = [
        "docker",
        "run",
        "--rm",
        "-v",
        f"{volume}:/data:ro",
        "--entrypoint",
        "pg_controldata",
        image,
        "/data/pgdata",
    ]
    assert "shut down\n" in process.check(argv)
    process.check(["docker", "restart", lone.node])
    lone.leads()
    assert lone.record()["incarnation"] == lone.incarnation() != incarnation


def test_before_a_promotion_no_session_of_the_endpoint_is_left(lone: Lone) -> None:
    """HAProxy gets the commands; a session from its address is ended, another one is not."""
    secret = (lone.bench.folder.secrets / "superuser").read_text().strip()
    user = lone.bench.spec.roles.superuser
    script = f"psql -h %s -U {user} -d postgres -c 'SELECT pg_sleep(60)' > /tmp/%s.out 2>&1"
    for host, output in ((ADDRESS, "endpoint"), ("/var/run/postgresql", "socket")):
        argv = ["docker", "exec", "-d", "-e", f"PGPASSWORD={secret}", lone.node, "bash", "-c"]
        process.check([*argv, script % (host, output)])
    sleeping = "grep -lzE '^postgres: .*SELECT' /proc/[0-9]*/cmdline | wc -l"
    _until("two sessions", lambda: None if (said := lone.sh(sleeping)) == "2" else said)
    process.check(["docker", "exec", "-d", lone.node, "python3", "-c", LISTEN])
    _until("a listener", lambda: None if ":2706 00000000:0000 0A" in lone.sh("cat /proc/net/tcp") else "none")
    lone.sh(f"POOLKEEPER_HAPROXY_ADDRESS={ADDRESS} POOLKEEPER_HAPROXY=127.0.0.1:9990 before_promotion.sh")
    _until("one session's end", lambda: None if (said := lone.sh(sleeping)) == "1" else said)
    assert "administrator command" in lone.sh("cat /tmp/endpoint.out")
    end = "shutdown sessions server standbys/alpha"
    expected = f"set server standbys/alpha state drain; {end}; {end}"
    assert lone.sh("cat /tmp/endpoint.in") == expected
    # Where HAProxy comes by a socket, a local session may be the endpoint's; not the superuser's, as Patroni's own are.
    settings = (
        f"POOLKEEPER_HAPROXY_ADDRESS={ADDRESS} POOLKEEPER_HAPROXY=127.0.0.1:9 POOLKEEPER_SOCKETS=/run/sockets/alpha"
    )
    lone.sh(f"{settings} POOLKEEPER_SUPERUSER={user} before_promotion.sh")
    assert lone.sh(sleeping) == "1"
    lone.sh(f"{settings} POOLKEEPER_SUPERUSER=another before_promotion.sh")
    _until("the other's end", lambda: None if (said := lone.sh(sleeping)) == "0" else said)


@pytest.mark.parametrize(
    ("endpoint", "milliseconds"),
    [("no-such-name:9990", 500), ("127.0.0.1:9", 500), ("10.97.0.250:9990", 1500)],
)
def test_a_silent_haproxy_delays_no_promotion(lone: Lone, endpoint: str, milliseconds: int) -> None:
    """A name that is gone and a port that refuses cost nothing; silence costs its second."""
    command = f"POOLKEEPER_HAPROXY={endpoint} before_promotion.sh > /dev/null"
    script = f"begin=$EPOCHREALTIME; {command}; code=$?; end=$EPOCHREALTIME"
    code, took = lone.sh(f"{script}; echo $code $(((${{end/./}} - ${{begin/./}}) / 1000))").split()
    print(f"before_promotion.sh, endpoint {endpoint}: {took} ms")  # noqa: T201
    assert code == "0"
    assert int(took) < milliseconds


def test_without_a_store_it_waits_and_can_be_stopped(lone: Lone) -> None:
    """Patroni is not started, and SIGTERM ends it."""
    name = lone.bench.start("alpha")
    _until("a complaint", lambda: None if "waits for the store" in compose.tail(name) else compose.tail(name))
    process.check(["docker", "stop", "--time", "20", name])
    assert process.check(["docker", "inspect", "--format", "{{.State.ExitCode}}", name]).strip() == "0"
    assert "Patroni" not in compose.tail(name)


def test_a_node_without_data_waits_for_the_one_that_is_declared_to_make_it(lone: Lone) -> None:
    """Otherwise the fastest node would be the first primary. The node starts once another has begun to initialize."""
    bench, name = lone.bench, lone.node.replace("_alpha", "_beta")
    argv = ["docker", "run", "-d", "--name", name, "--hostname", "beta", "--network", name.rsplit("_", 1)[0]]
    label = ["--label", "poolkeeper.test=1", "-e", "POOLKEEPER_CLUSTER=waiting"]
    process.check([*argv, *bench.flags("beta"), *label, bench.service("beta")["image"]])
    try:
        beta = Lone(bench, name, lone.store)
        _until("its wait", lambda: None if "waits for a cluster to clone" in beta.said() else beta.said())
        assert beta.patroni() == ""
        compose.execute(lone.store, ["env", "ETCDCTL_API=3", "etcdctl", "put", "/service/waiting/initialize", "x"])
        _until("its Patroni", lambda: None if beta.patroni() else "no Patroni")
    finally:
        process.run(["docker", "rm", "--force", "--volumes", name])
