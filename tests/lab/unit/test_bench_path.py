"""`bench path`: the command lines and the output of pgbench, the plan, the goals, and the cleanup."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from tests.poolkeeper.unit import snapshots

from poolkeeper.cluster.handle import Cluster
from poolkeeper.core import errors
from poolkeeper.core.progress import Silent
from poolkeeper.system import compose, postgres, process
from poolkeeper_lab.bench.bench_parts import BenchOptions
from poolkeeper_lab.bench.load import bench_endpoints, database, pgbench, pgbench_client
from poolkeeper_lab.bench.load.bench_endpoints import DIRECT, BenchEndpoint
from poolkeeper_lab.bench.load.pgbench import PREPARED, READ_MOSTLY, READ_ONLY, SIMPLE, TPC_B, PgbenchLoad
from poolkeeper_lab.bench.measure import meter, rounds
from poolkeeper_lab.bench.measure.rounds import Case, Contender, Ratio, Sample
from poolkeeper_lab.bench.parts import path, path_plan
from poolkeeper_lab.bench.report.compare import RATIO

SPEC = snapshots.SPEC
WHERE = pgbench.Where("10.8.0.100", 5100, "app", "poolkeeper_bench")
KEPT, FRESH = PgbenchLoad(READ_ONLY, SIMPLE, 16), PgbenchLoad(READ_ONLY, SIMPLE, 16, is_fresh=True)
PRINTED = """pgbench (17.12 (Debian 17.12-0+deb13u1))
transaction type: <builtin: select only>
scaling factor: 10
query mode: simple
number of clients: 16
number of threads: 2
maximum number of tries: 1
duration: 4 s
number of transactions actually processed: 40000
number of failed transactions: 0 (0.000%)
latency average = 1.600 ms
initial connection time = 30.123 ms
tps = 10012.345678 (without initial connection time)
"""
RECONNECTING = PRINTED.replace("initial connection time = 30.123 ms", "average connection time = 7.250 ms").replace(
    "without initial connection time", "including reconnection times"
)


def test_command_line_says_what_is_measured() -> None:
    argv = pgbench.run(KEPT, WHERE, 4, 10, 2, 7)
    assert argv[-4:] == ["--host=10.8.0.100", "--port=5100", "--username=app", "poolkeeper_bench"]
    wanted = {"--no-vacuum", "--client=16", "--jobs=2", "--time=4", "--protocol=simple", "--builtin=select-only"}
    assert wanted <= set(argv)
    assert "--connect" not in argv
    assert {"--sampling-rate=0.2", "--define=scale=10", "--random-seed=7"} <= set(argv)


def test_fresh_connections_have_a_thread_each_and_are_all_logged() -> None:
    argv = pgbench.run(FRESH, WHERE, 4, 10, 2, 7)
    assert {"--connect", "--jobs=16", "--sampling-rate=1"} <= set(argv)


def test_own_scripts_are_those_that_are_shipped() -> None:
    from importlib import resources  # noqa: PLC0415

    folder = resources.files("poolkeeper_lab.bench.load").joinpath("scripts")
    assert {file.name for file in folder.iterdir()} == set(pgbench.SCRIPTS)
    argv = pgbench.run(PgbenchLoad(READ_MOSTLY, SIMPLE, 1), WHERE, 4, 10, 2, 7)
    assert [word for word in argv if word.startswith("--file")] == [
        "--file=/tmp/bench/read-mostly-read.sql@9",
        "--file=/tmp/bench/read-mostly-write.sql@1",
    ]


def test_output_and_log_of_pgbench_are_read() -> None:
    log = "\n".join(f"{i % 16} {i} {i * 10} 0 1700000000 {i}" for i in range(1, 101))
    found = pgbench.parse(PRINTED, log + "\n3 4 skipped 0 1700000000 7\n5 6 12")
    assert found == pgbench.PgbenchResult(10012.345678, 40000, 0.5, 0.99, None)
    assert pgbench.parse(RECONNECTING, "").connection == 7.25
    assert pgbench.parse(RECONNECTING, "").p99 is None


@pytest.mark.parametrize(
    ("printed", "why"),
    [
        ("", "measured nothing"),
        (PRINTED.replace("processed: 40000", "processed: 0"), "measured nothing"),
        (PRINTED.replace("failed transactions: 0", "failed transactions: 3"), "3 of pgbench's transactions failed"),
    ],
)
def test_half_a_measurement_is_none(printed: str, why: str) -> None:
    with pytest.raises(errors.EngineFailed, match=why):
        pgbench.parse(printed, "")


def test_the_first_complaint_names_the_cause() -> None:
    said = "pgbench (17.12)\npgbench: error: connection failed: FATAL: too many\npgbench: error: client 3 aborted\n"
    assert pgbench.complaint(said) == "connection failed: FATAL: too many"
    assert pgbench.complaint("sh: odd\n") == "sh: odd"
    assert pgbench.complaint("") == "pgbench printed nothing"


def test_password_file_escapes() -> None:
    assert pgbench.password_file("a:b\\c") == "*:*:*:*:a\\:b\\\\c\n"


def test_own_endpoints_are_inside_the_network_the_primary_first() -> None:
    found = {endpoint.key: endpoint for endpoint in bench_endpoints.own(SPEC, "pg_node2")}
    assert list(found) == [DIRECT, "5100", "5200", "5101", "5201", "9999"]
    assert (found[DIRECT].host, found[DIRECT].port) == ("10.8.0.12", 5432)
    assert (found["5100"].host, found["5100"].capacity) == ("10.8.0.100", 30)
    assert (found["9999"].host, found["9999"].port) == ("10.8.0.20", 9999)
    assert found["5200"].capacity == SPEC.direct_sessions()["direct_rw"]
    assert [endpoint.key for endpoint in found.values() if not endpoint.takes_writes] == ["5101", "5201"]


def test_a_direct_endpoint_without_an_endpoint_is_no_endpoint() -> None:
    endpoints = SPEC.endpoints.model_copy(update={"direct_rw": SPEC.endpoints.direct_rw.model_copy(update={"port": 0})})
    spec = SPEC.model_copy(update={"endpoints": endpoints})
    assert "5200" not in {endpoint.key for endpoint in bench_endpoints.own(spec, "pg_node1")}
    planned, _ = path_plan.plan(spec, bench_endpoints.own(spec, "pg_node1"), False)
    assert all(endpoint.port for one in planned for endpoint in one.endpoints)


@pytest.mark.parametrize(
    ("load", "serves"),
    [
        (PgbenchLoad(READ_ONLY, SIMPLE, 30), True),
        (PgbenchLoad(READ_ONLY, SIMPLE, 31), False),
        (PgbenchLoad(READ_ONLY, SIMPLE, 256, is_fresh=True), True),
        (PgbenchLoad(TPC_B, SIMPLE, 8), False),
        (PgbenchLoad(READ_MOSTLY, SIMPLE, 8), False),
    ],
)
def test_an_endpoint_serves_what_it_has_room_for(load: PgbenchLoad, serves: bool) -> None:
    assert (BenchEndpoint("5101", "h", 1, 30, takes_writes=False).refuses(load) == "") is serves


def test_core_has_every_goal_and_ends_in_time() -> None:
    planned, notes = path_plan.plan(SPEC, bench_endpoints.own(SPEC, "pg_node1"), False)
    loads = {one.load: {endpoint.key for endpoint in one.endpoints} for one in planned}
    for wanted in path_plan.goals(SPEC):
        assert wanted.numerator in loads[wanted.load]
        assert wanted.denominator in loads[wanted.load] | {path_plan.PEER}
    assert notes == []
    measurements = sum(len(one.endpoints) for one in planned)
    assert measurements * (path.ROUNDS * (path.SECONDS + 1) + path.WARM_SECONDS + 1) < 16 * 60
    assert all(one.endpoints[0].key == DIRECT for one in planned)


def test_goals_are_those_of_the_issue() -> None:
    found_values = {wanted.sentence: wanted.least for wanted in path_plan.goals(SPEC)}
    assert found_values == {
        "5100 ÷ direct: read-only, simple, 16 clients": 0.60,
        "9999 ÷ PgBouncer: read-only, simple, 16 clients": 1.1,
        "5100 ÷ direct: TPC-B-like, simple, 8 clients": 0.75,
        "5100 ÷ direct: read-only, prepared, 16 clients": 0.30,
        "5200 ÷ direct: read-only, prepared, 16 clients": 0.70,
        "5100 ÷ direct: read-only, simple, 16 clients, a connection for each transaction": 4.0,
    }


def test_the_full_matrix_reports_what_an_endpoint_cannot_serve() -> None:
    planned, notes = path_plan.plan(SPEC, bench_endpoints.own(SPEC, "pg_node1"), True)
    loads = {(one.load.workload, one.load.protocol, one.load.clients, one.load.is_fresh) for one in planned}
    assert (TPC_B, PREPARED, 256, True) in loads
    assert (READ_ONLY, SIMPLE, 64, False) not in loads
    assert any("5100 serves 30 sessions at once, 64 kept ones are too many" in note for note in notes)
    assert any("no two endpoints can serve it" in note for note in notes)
    assert len(planned) == len({one.load for one in planned})


def test_only_some_loads_can_be_chosen() -> None:
    planned, _ = path_plan.plan(SPEC, bench_endpoints.own(SPEC, "pg_node1"), False, "prepared")
    assert [one.load for one in planned] == [PgbenchLoad(READ_ONLY, PREPARED, 16)]
    with pytest.raises(errors.UsageError, match="no load contains 'fast'"):
        path_plan.plan(SPEC, bench_endpoints.own(SPEC, "pg_node1"), False, "fast")


def test_a_peer_takes_part_in_every_load_and_is_compared_where_a_goal_says_so() -> None:
    peer = BenchEndpoint("PgBouncer, session", "h", 6432, 100, is_peer=True)
    wanted = path_plan.goals(SPEC, [peer])
    planned, _ = path_plan.plan(SPEC, [*bench_endpoints.own(SPEC, "pg_node1"), peer], False)
    assert all(one.endpoints[-1] is peer for one in planned)
    sixteen = next(one for one in planned if one.load == KEPT)
    assert ("9999", "PgBouncer, session") in sixteen.pairs(wanted)
    assert ("PgBouncer, session", DIRECT) in sixteen.pairs(wanted)


def test_cpu_time_is_by_part_and_for_a_thousand_transactions() -> None:
    used = meter.Usage(4.0, {"pgpool_rw": 1.0, "pgpool": 0.2, "pg_node1": 4.0, "pgbench": 2.0, "bouncer": 0.4}, 0.03)
    parts = {service: bench_endpoints.part_of(SPEC, service) for service in SPEC.addresses()} | {"pgbench": "pgbench"}
    found = path.sample(pgbench.PgbenchResult(10.0, 4000, 1.0, None, None), used, parts)
    found_values = {measure.name: value for measure, value in found.values.items()}
    assert found_values == pytest.approx(
        {"throughput": 10.0, "p50": 1.0, "Pgpool-II": 0.3, "PostgreSQL, Patroni": 1.0, "pgbench": 0.5, "bouncer": 0.1}
    )
    assert found.foreign == 0.03


def measured(values: dict[str, float], void: str = "") -> path.Path:
    """Return the part after a round of the first goal's load with these throughputs."""
    part = path.Path(SimpleNamespace(spec=SPEC), BenchOptions(seed=7))  # type: ignore[arg-type]
    own = {endpoint.key: endpoint for endpoint in bench_endpoints.own(SPEC, "pg_node1")}
    planned = path_plan.Planned(KEPT, tuple(own[key] for key in values))
    contenders = tuple(Contender(key, partial(Sample, {path.TPS: v})) for key, v in values.items())
    case = Case(KEPT.about, contenders, (Ratio("5100", DIRECT, path.TPS),))
    part._planned, part._record, part._void = [planned], rounds.RoundsRecord([case], 1, 7), void
    rounds.play(part._record, Silent())
    return part


def test_goals_are_checked_by_the_ratios_of_their_load() -> None:
    section = measured({DIRECT: 1000.0, "5100": 620.0}).section()
    first, second, third = section.goals[:3]
    assert (first.is_met, first.unit) == (True, RATIO)
    assert first.estimate is not None
    assert first.estimate.median == pytest.approx(0.62)
    assert (second.is_met, second.reason) == (None, "9999 is not in this run")
    assert (third.is_met, third.reason) == (None, "it was not run")
    assert measured({DIRECT: 1000.0, "5100": 590.0}).section().goals[0].is_met is False


def test_no_figure_counts_after_the_role_moved() -> None:
    section = measured({DIRECT: 1000.0, "5100": 620.0}, "the role moved").section()
    assert (section.goals[0].is_met, section.goals[0].reason) == (None, "the role moved")
    assert section.notes[0] == "no figure holds: the role moved"


def test_goals_of_a_part_without_a_run_are_not_measured() -> None:
    section = path.Path(SimpleNamespace(spec=SPEC), BenchOptions()).section()  # type: ignore[arg-type]
    assert {goal.is_met for goal in section.goals} == {None}
    assert section.metrics == ()


class Server:
    """A primary that records its requests; `found`: the comment of a database that is there."""

    def __init__(self, found: list[tuple[str | None]]) -> None:
        self.asked: list[str] = []
        self.found = found

    async def rows(self, statement: str, parameters: Sequence[Any] | None = None) -> list[Any]:
        """Note the request, and return the answer."""
        del parameters
        self.asked.append(statement)
        return self.found if statement.startswith("SELECT shobj") else []


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    """Return a server that has no database of ours."""
    made = Server([])

    @asynccontextmanager
    async def session(*_: object) -> AsyncIterator[Server]:
        yield made

    monkeypatch.setattr(postgres, "session", session)
    return made


ACCESS = Cluster(SPEC, secrets={"superuser": "x", "app": "y", "check": "z"})


def test_the_database_is_made_with_its_mark_and_dropped_also_on_ctrl_c(server: Server) -> None:
    def interrupted() -> None:
        with database.made(ACCESS, "pg_node1", Silent()):
            server.found = [(database.COMMENT,)]
            raise KeyboardInterrupt

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        interrupted()
    done = [statement.split(" OWNER")[0] for statement in server.asked if not statement.startswith("SELECT")]
    assert done == [
        "CREATE DATABASE poolkeeper_bench",
        "COMMENT ON DATABASE poolkeeper_bench IS 'made by poolkeeper bench'",
        "DROP DATABASE poolkeeper_bench WITH (FORCE)",
    ]
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize("comment", [None, "mine"])
def test_a_database_that_is_not_ours_is_never_dropped(server: Server, comment: str | None) -> None:
    server.found = [(comment,)]
    with pytest.raises(errors.OperationRefused, match="did not create"):
        asyncio.run(database.create(ACCESS, "pg_node1"))
    assert not [statement for statement in server.asked if "DROP" in statement or "CREATE" in statement]


class Engine:
    """A container engine that records its requests."""

    def __init__(self, left: str = "") -> None:
        self.asked: list[list[str]] = []
        self.left = left
        self.files: dict[str, str] = {}

    def check(self, argv: Sequence[str], **_: object) -> str:
        """Note the request, and return the answer."""
        self.asked.append(list(argv))
        if argv[1] == "ps":
            left, self.left = self.left, ""
            return left
        if argv[1] == "run":
            self.left = "abc"
        return "77\n" if "{{.State.Pid}}" in argv else "poolkeeper/postgres:1\n" if "inspect" in argv else ""

    def execute(self, container: str, argv: Sequence[str], *, stdin: str | None = None) -> str:
        """Keep the file that a shell inside the container writes."""
        assert container == "poolkeeper-bench-client"
        if stdin is not None:
            self.files[argv[-1].rpartition("/")[2]] = stdin
        return ""


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Engine:
    """Return an engine with a container that a killed run left."""
    made = Engine("old\n")
    monkeypatch.setattr(process, "check", made.check)
    monkeypatch.setattr(compose, "execute", made.execute)
    return made


PLACE = SimpleNamespace(spec=SPEC, with_passwords=lambda: ACCESS, container=lambda name: name)


def test_the_client_is_labelled_bounded_and_removed(engine: Engine) -> None:
    def failing() -> None:
        with pgbench_client.running(PLACE, "pg_node1") as found:  # type: ignore[arg-type]
            assert found == pgbench_client.PgbenchClient("poolkeeper-bench-client", 77)
            raise errors.EngineFailed("x")

    with pytest.raises(errors.EngineFailed):
        failing()
    (started,) = [argv for argv in engine.asked if argv[1] == "run"]
    assert {"--rm", "poolkeeper.bench=poolkeeper", "poolkeeper.bench.role=client", "--read-only"} <= set(started)
    assert started[-3:] == ["sleep", "poolkeeper/postgres:1", str(pgbench_client.LIFE)]
    assert [argv[-1] for argv in engine.asked if argv[1] == "rm"] == ["old", "abc"]
    assert engine.files["pgpass"] == "*:*:*:*:y\n"
    assert set(engine.files) == {"pgpass", *pgbench.SCRIPTS}
    assert not [argv for argv in engine.asked if any("pgpass" in word or word == "y" for word in argv)]


def test_a_run_that_fails_reports_its_first_complaint(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    said = process.Finished(("docker",), 1, "", "pgbench: error: connection to server failed: FATAL: sorry\n")
    monkeypatch.setattr(process, "run", lambda *_, **__: said)
    with pytest.raises(errors.EngineFailed, match="pgbench: connection to server failed: FATAL: sorry"):
        pgbench_client.PgbenchClient("poolkeeper-bench-client", 1).run(["pgbench"], 1)
    del engine


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Provide a peer that starts and one that does not; return the list of ended ones."""
    ended: list[str] = []

    @contextmanager
    def good(*_: object) -> Iterator[list[BenchEndpoint]]:
        yield [BenchEndpoint("PgBouncer", "h", 1, 9, is_peer=True)]
        ended.append("good")

    def bad(*_: object) -> Any:
        raise errors.EngineFailed("no image")

    made = {"good": SimpleNamespace(endpoints=good), "bad": SimpleNamespace(endpoints=bad)}
    monkeypatch.setattr(bench_endpoints, "PROVIDERS", {"Good": "good", "Bad": "bad"})
    monkeypatch.setattr(path, "import_module", made.__getitem__)
    return ended


def test_peers_are_started_and_ended_and_a_failed_start_is_reported(provider: list[str]) -> None:
    part = path.Path(SimpleNamespace(spec=SPEC), BenchOptions())  # type: ignore[arg-type]
    with part._peers(Silent()) as found:
        assert [endpoint.key for endpoint in found] == ["PgBouncer"]
        assert provider == []
    assert provider == ["good"]
    assert part.section().notes == ("Bad could not be started: no image",)


def test_a_database_that_cannot_be_dropped_is_reported(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    notes: list[str] = []
    monkeypatch.setattr(Silent, "note", lambda _, text: notes.append(text))
    with database.made(ACCESS, "pg_node1", Silent()):
        server.found = [("another's",)]
    (note,) = notes
    assert note.startswith("the database poolkeeper_bench was not dropped: there is a database poolkeeper_bench that")
