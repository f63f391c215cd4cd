"""The peers: their files and what these ask for, what is known of them, how they are asked and broken."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from tests.poolkeeper.unit import snapshots

from poolkeeper.core import errors
from poolkeeper.model.dsn import Dsn
from poolkeeper.system import compose, images, process
from poolkeeper_lab.bench.load import bench_endpoints
from poolkeeper_lab.bench.measure import startup_times
from poolkeeper_lab.bench.peers import (
    contenders,
    multi_host,
    peer_catalogue,
    peer_image,
    pgbouncer,
    poolkeeper_peer,
    remarks,
    stack,
)
from poolkeeper_lab.bench.peers.contenders import TrialNode
from poolkeeper_lab.bench.peers.peer_catalogue import PeerCommand
from poolkeeper_lab.drill import drill_client, ledger, link

ROOT = Path(__file__).resolve().parents[3]
SOURCES = ROOT / "src/poolkeeper_lab/bench/peers/stacks"
SPEC = snapshots.SPEC
FOLDERS = sorted({peer.folder for peer in peer_catalogue.PEERS} | {pgbouncer.FOLDER})


def environment_of(folder: str) -> dict[str, str]:
    """Return the variables that the program passes to the Compose file of a folder."""
    if folder == pgbouncer.FOLDER:
        return pgbouncer.environment(SPEC, SPEC.nodes[0].name, SOURCES, "image", Path("/secrets"))
    peer = next(peer for peer in peer_catalogue.PEERS if peer.folder == folder)
    return stack.environment(peer, SOURCES, "image", Path("/secrets"))


def composed(folder: str) -> dict[str, Any]:
    """The Compose file with its variables put in."""
    given = environment_of(folder)
    text = re.sub(r"\$\{(\w+)\}", lambda found: given[found[1]], (SOURCES / folder / "compose.yaml").read_text())
    document: dict[str, Any] = yaml.safe_load(text)
    return document


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_compose_file_asks_only_for_what_it_is_given_and_for_all_of_it(folder: str) -> None:
    asked = set(re.findall(r"\$\{(\w+)\}", (SOURCES / folder / "compose.yaml").read_text()))
    unused = set(environment_of(folder)) - asked
    assert asked <= set(environment_of(folder))
    assert unused <= {"PEER_NET", "PEER_PORT"}  # of a peer without a network, or a port, of its own


@pytest.mark.parametrize("folder", FOLDERS)
def test_everything_of_a_peer_is_labelled_and_limited(folder: str) -> None:
    document = composed(folder)
    label = environment_of(folder)["PEER_CLUSTER"]
    for name, service in document["services"].items():
        assert service["labels"]["poolkeeper.cluster"] == label, name
        assert {"cpus", "mem_limit", "restart"} <= set(service), name
        assert service["image"] == "image"
    owned = [*document.get("volumes", {}).values(), *document["networks"].values()]
    assert all(entry.get("external") or entry["labels"]["poolkeeper.cluster"] == label for entry in owned)


@pytest.mark.parametrize("folder", FOLDERS)
def test_published_ports_are_on_loopback_alone(folder: str) -> None:
    ports = [port for service in composed(folder)["services"].values() for port in service.get("ports", [])]
    assert all(port.startswith("127.0.0.1:") for port in ports)


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_password_is_in_the_files(folder: str) -> None:
    """Each password is read from /run/secrets or inserted by a shell; no file contains one."""
    for path in (SOURCES / folder).iterdir():
        for value in re.findall(r"password\s*[=:]\s*'?([^'\s]+)", path.read_text(), re.I):
            assert value.startswith(("%s", "$", '"$')), (path.name, value)


def test_an_injected_password_is_found() -> None:
    assert re.findall(r"password\s*[=:]\s*'?([^'\s]+)", "sr_check_password = 'hunter2'", re.I) == ["hunter2"]


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_program_that_a_service_starts_is_there(folder: str) -> None:
    for service in composed(folder)["services"].values():
        assert (SOURCES / folder / Path(service["entrypoint"][-1]).name).is_file()


@pytest.mark.parametrize("peer", peer_catalogue.PEERS, ids=lambda peer: peer.key)
def test_nodes_have_the_addresses_that_the_program_takes_them_to_have(
    peer: peer_catalogue.Peer, tmp_path: Path
) -> None:
    services = composed(peer.folder)["services"]
    nodes = stack.Stack(peer, SOURCES, "image", tmp_path).nodes
    assert {n: services[n]["networks"]["peer"]["ipv4_address"] for n in peer_catalogue.NODES} == nodes


def test_the_fastest_patroni_is_legal_and_the_stock_one_is_patronis_default() -> None:
    for peer in (peer_catalogue.PATRONI, peer_catalogue.PATRONI_FASTEST):
        ttl, wait, retry = (int(peer.variables[f"PATRONI_{k}"]) for k in ("TTL", "LOOP_WAIT", "RETRY_TIMEOUT"))
        assert (ttl >= 20, wait >= 1, retry >= 3, wait + 2 * retry <= ttl) == (True,) * 4
        shown = next(s.what for s in peer.settings if s.what.startswith("ttl"))
        assert shown == f"ttl {ttl}, loop_wait {wait}, retry_timeout {retry}"
    assert peer_catalogue.PATRONI_FASTEST.variables["PATRONI_TTL"] == "20"
    assert peer_catalogue.PATRONI.variables["PATRONI_TTL"] == "30"


@pytest.mark.parametrize("peer", peer_catalogue.PEERS, ids=lambda peer: peer.key)
def test_a_peer_can_switch_over_or_says_why_not(peer: peer_catalogue.Peer) -> None:
    assert bool(peer.switchover) != bool(peer.cannot.get(peer_catalogue.SWITCHOVER))
    assert all(setting.source for setting in peer.settings)


def test_names_are_put_into_a_command() -> None:
    command = PeerCommand("{primary}", ("to", "{standby}", "{number}"))
    assert command.of("node1", "node3") == PeerCommand("node1", ("to", "node3", "2"))


def test_peers_and_faults_are_chosen_by_name() -> None:
    assert peer_catalogue.choose(()) == peer_catalogue.PEERS
    assert peer_catalogue.choose(("pgpool", "patroni")) == (peer_catalogue.PATRONI, peer_catalogue.PGPOOL)
    assert peer_catalogue.choose_faults(("switchover",)) == ("switchover",)
    with pytest.raises(errors.UsageError, match="no such peer: oracle"):
        peer_catalogue.choose(("oracle",))
    with pytest.raises(errors.UsageError, match="no such fault: flood"):
        peer_catalogue.choose_faults(("flood",))
    with pytest.raises(errors.UsageError, match="no such peer on the path: oracle"):
        bench_endpoints.chosen(("oracle",))
    assert set(bench_endpoints.chosen(())) == {"pgbouncer"}


HEALTHY = {"node1": TrialNode("primary", 2), "node2": TrialNode("standby"), "node3": TrialNode("standby")}


@pytest.mark.parametrize(
    ("states", "missing"),
    [
        (HEALTHY, None),
        (HEALTHY | {"node2": TrialNode("primary")}, "node1, node2 are primaries"),
        (HEALTHY | {"node1": TrialNode("standby")}, "there is no primary"),
        (HEALTHY | {"node3": TrialNode("silent")}, "node3 do not answer"),
        (HEALTHY | {"node1": TrialNode("primary", 1)}, "1 of 2 standbys stream"),
    ],
)
def test_a_missing_condition_of_health_is_named(states: dict[str, TrialNode], missing: str | None) -> None:
    assert contenders.lacks(states) == missing


def test_two_primaries_are_none() -> None:
    assert contenders.primary_of(HEALTHY) == "node1"
    with pytest.raises(errors.Unreachable, match="are primaries"):
        contenders.primary_of(HEALTHY | {"node2": TrialNode("primary")})


def test_rows_of_ids_are_counted() -> None:
    assert contenders.counts(["1|1", "2|2", ""]) == {1: 1, 2: 2}


class Engine:
    """The commands that were run, and what each prints."""

    def __init__(self, says: Callable[[str], str]) -> None:
        self.ran: list[str] = []
        self._says = says

    def check(self, argv: list[str], **_: object) -> str:
        """Stand in for process.check."""
        self.ran.append(" ".join(argv))
        return self._says(self.ran[-1])

    def run(self, argv: list[str], **_: object) -> process.Finished:
        """Stand in for process.run."""
        return process.Finished(tuple(argv), 0, self.check(argv), "")


def says(line: str) -> str:
    """node2 leads, node3 is silent, and the monitor calls two of three settled."""
    if "pgautofailover.node" in line:
        return "2\n"
    if "node3" in line and "psql" in line:
        raise errors.EngineFailed("psql ended with 2")
    return "f|1\n" if "node2" in line else "t|0\n"


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Engine:
    """Replaces the real one."""
    made = Engine(says)
    monkeypatch.setattr(process, "check", made.check)
    monkeypatch.setattr(process, "run", made.run)
    return made


def a_stack(peer: peer_catalogue.Peer, folder: Path) -> stack.Stack:
    """Return a stack with passwords."""
    stack.make_passwords(folder)
    return stack.Stack(peer, SOURCES, "image", folder)


def test_nodes_are_asked_at_their_own_socket(engine: Engine, tmp_path: Path) -> None:
    found = a_stack(peer_catalogue.PATRONI, tmp_path).states()
    assert found == {"node1": TrialNode("standby"), "node2": TrialNode("primary", 1), "node3": TrialNode("silent")}
    assert engine.ran[0].startswith("docker exec --user postgres bench-patroni-node1-1 psql -XAtq -d app -c SELECT")


def test_faults_are_the_same_commands_for_all(engine: Engine, tmp_path: Path) -> None:
    cluster = a_stack(peer_catalogue.PGPOOL, tmp_path)
    for fault in peer_catalogue.FAULTS:
        cluster.break_it(fault, "node1")
        cluster.heal(fault, "node1")
    kill, start, postmaster, switch = engine.ran
    assert (kill, start) == ("docker kill bench-pgpool-node1-1", "docker start bench-pgpool-node1-1")
    assert "kill -9 $(head -n 1 /var/lib/postgresql/data/pgdata/postmaster.pid)" in postmaster
    assert switch.startswith("docker exec --user postgres bench-pgpool-pgpool-1 env")
    assert switch.endswith("-n 1")  # node2


def test_a_peer_without_a_switchover_says_so(engine: Engine, tmp_path: Path) -> None:
    cluster = a_stack(peer_catalogue.REPMGR, tmp_path)
    assert "ssh" in cluster.cannot(peer_catalogue.SWITCHOVER)
    assert not cluster.cannot(peer_catalogue.KILL_NODE)
    with pytest.raises(errors.EngineFailed, match="has no command"):
        cluster.break_it(peer_catalogue.SWITCHOVER, "node1")
    assert engine.ran == []


@pytest.mark.usefixtures("engine")
def test_a_cluster_that_does_not_report_itself_as_settled_is_not_healthy(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cluster = a_stack(peer_catalogue.PG_AUTO_FAILOVER, tmp_path)
    monkeypatch.setattr(cluster, "states", lambda: HEALTHY)
    assert cluster.lacks() == "its monitor does not report it as settled: 2"
    assert a_stack(peer_catalogue.PATRONI, tmp_path).lacks() == "node3 do not answer"


def test_passwords_are_generated_for_each_run_and_readable_only_by_the_user(tmp_path: Path) -> None:
    stack.make_passwords(tmp_path / "a")
    stack.make_passwords(tmp_path / "b")
    assert (tmp_path / "a" / "app").read_text() != (tmp_path / "b" / "app").read_text()
    assert (tmp_path / "a" / "app").stat().st_mode & 0o077 == 0


def test_endpoints(tmp_path: Path) -> None:
    proxied, direct = (
        a_stack(peer, tmp_path).endpoint() for peer in (peer_catalogue.PATRONI, peer_catalogue.PG_AUTO_FAILOVER)
    )
    assert (proxied.dsn.where, proxied.connect) == ("127.0.0.1:26000", None)
    assert direct.dsn.host == "10.213.79.11,10.213.79.12,10.213.79.13"
    assert direct.connect is multi_host.connect


class Opened:
    """A session at a host that answers so."""

    def __init__(self, read_only: str) -> None:
        self.read_only, self.closed = read_only, False

    def ask(self, statement: str, seconds: float) -> link.Answer:
        """Return the recorded requests."""
        assert (statement, seconds > 0) == ("SHOW transaction_read_only", True)
        return link.Answer((self.read_only,))

    def close(self) -> None:
        """Ended."""
        self.closed = True


def hosts(monkeypatch: pytest.MonkeyPatch, **found: Opened | str) -> list[tuple[str, float]]:
    """Simulate the hosts: each has a session or an error. Return the attempts with their seconds."""
    tried: list[tuple[str, float]] = []

    def connect(dsn: Dsn, seconds: float) -> Any:
        tried.append((dsn.host, seconds))
        answer = found[dsn.host]
        if isinstance(answer, str):
            raise link.Failed(answer, answer, sent=True)
        return answer

    monkeypatch.setattr(link, "connect", connect)
    return tried


MANY = Dsn("a,b,c", 5432, "app", "app", "secret")


def test_hosts_are_tried_in_turn_until_one_takes_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    standby, primary = Opened("on"), Opened("off")
    tried = hosts(monkeypatch, a="connect: refused", b=standby, c=primary)
    assert multi_host.connect(MANY, 4.0) is primary  # type: ignore[comparison-overlap]
    assert [host for host, _ in tried] == ["a", "b", "c"]
    assert all(seconds <= multi_host.HOST_SECONDS for _, seconds in tried)
    assert (standby.closed, primary.closed) == (True, False)


def test_without_a_writable_host_no_statement_was_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    hosts(monkeypatch, a="connect: refused", b="lost", c=Opened("on"))
    with pytest.raises(link.Failed) as failed:
        multi_host.connect(MANY, 4.0)
    assert (failed.value.code, failed.value.sent) == (multi_host.READ_ONLY, False)


def test_the_peer_cluster_is_the_declared_one_with_the_name_of_the_bench(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cluster = poolkeeper_peer.PoolkeeperPeer(SPEC, images.SOURCES, tmp_path)
    assert cluster.cluster.spec.name == startup_times.NAME == cluster.label
    assert cluster.container("pg_node1") == "bench_pg_node1"
    assert set(cluster.nodes.values()).isdisjoint(str(node.address) for node in SPEC.nodes)
    removed: list[str] = []
    monkeypatch.setattr(compose, "remove_all", removed.append)
    cluster.down()
    assert removed == ["bench"]


@pytest.mark.parametrize(("value", "text"), [(True, "t"), (False, "f"), (1, "1"), (0, "0"), ("x", "x")])
def test_own_rows_are_written_as_psql_writes_them(value: object, text: str) -> None:
    assert poolkeeper_peer._text(value) == text


def test_own_containers_have_the_limits_of_the_peers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    engine = Engine(lambda _: "")
    monkeypatch.setattr(process, "check", engine.check)
    monkeypatch.setattr(process, "run", engine.run)
    monkeypatch.setattr(compose, "inspect", lambda _: [{"Name": "/bench_pg_node1"}, {"Name": "/bench_etcd1"}])
    poolkeeper_peer.PoolkeeperPeer(SPEC, images.SOURCES, tmp_path).up()
    assert engine.ran[0].endswith(" up")
    assert engine.ran[1] == "docker update --cpus 1 --memory 2g --memory-swap 2g bench_pg_node1 bench_etcd1"


def test_the_image_is_built_once_for_its_inputs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "image").mkdir()
    file = tmp_path / "image" / "Dockerfile"
    monkeypatch.setattr(peer_image, "SOURCES", tmp_path)
    file.write_text("FROM a\n")
    cluster: Any = SimpleNamespace(spec=SPEC)
    first = peer_image.reference(cluster)
    assert peer_image.reference(cluster) == first
    file.write_text("FROM b\n")
    assert peer_image.reference(cluster) != first
    file.unlink()
    with pytest.raises(errors.ImageFailed, match="is missing"):
        peer_image.reference(cluster)
    engine = Engine(lambda _: "pgpool2 4.6.1-2\nhaproxy 3.0.11-1\n")
    monkeypatch.setattr(process, "check", engine.check)
    assert peer_image.versions("image", ["pgpool2", "haproxy"]) == {"pgpool2": "4.6.1-2", "haproxy": "3.0.11-1"}


def test_every_package_of_a_peer_is_in_the_image() -> None:
    text = (SOURCES / "image" / "Dockerfile").read_text().replace("${PG_MAJOR}", "17")
    implied = {"repmgr-common"}  # by postgresql-17-repmgr
    for peer in peer_catalogue.PEERS:
        assert all(package in text for package in set(peer.packages) - implied), peer.key
    assert all(package in text for package in pgbouncer.PACKAGES)


def test_the_table_of_peers_has_a_row_a_setting() -> None:
    table = remarks.peers(peer_catalogue.PEERS, {"patroni": "4.0.7"})
    assert len(table.rows) == sum(len(peer.settings) for peer in peer_catalogue.PEERS)
    assert table.rows[0][0] == peer_catalogue.PATRONI.title
    assert "patroni 4.0.7, etcd-server unknown" in table.rows[0][1]
    assert table.rows[1][0] == ""


def test_a_writer_goes_where_its_endpoint_leads_it() -> None:
    asked = threading.Event()

    def connect(dsn: Dsn, _: float) -> Any:
        assert dsn is MANY
        asked.set()
        raise link.Failed(multi_host.READ_ONLY, "no", sent=False)

    account = ledger.Ledger()
    with drill_client.running(drill_client.ClientEndpoint("rw", MANY, contenders.statement, connect=connect), account):
        assert asked.wait(60)
    found = account.attempts(0.0)
    assert {(a.outcome, a.code) for a in found} == {(ledger.AttemptOutcome.REFUSED, multi_host.READ_ONLY)}
