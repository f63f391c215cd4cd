"""`bench storm`: very many clients at once, each with one transaction; and the behaviour when every session is busy.

The drivers run on this machine, one for each core, and connect to each endpoint's own address in the network. The
yardstick is the same transactions on kept sessions of the same endpoint. Every measurement is bounded: a client gives
up after PATIENCE, and at most CLIENTS of them run at once.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import count

from poolkeeper.cluster.handle import Cluster
from poolkeeper.core import errors, interrupts
from poolkeeper.core.progress import Progress
from poolkeeper.model.dsn import Dsn
from poolkeeper.system import process
from poolkeeper_lab.bench.bench_parts import BenchOptions
from poolkeeper_lab.bench.load import bench_endpoints, bench_machine, database, storm_job
from poolkeeper_lab.bench.load.bench_endpoints import BenchEndpoint
from poolkeeper_lab.bench.load.storm_job import READ, WRITE, StormJob, StormReport
from poolkeeper_lab.bench.measure import busy, estimate, meter, rounds
from poolkeeper_lab.bench.measure.rounds import Case, Contender, Measure, Ratio, RoundsRecord, Sample
from poolkeeper_lab.bench.parts.path import HEALTHY_SECONDS, WORK
from poolkeeper_lab.bench.report.bench_model import BenchGoal, BenchSection
from poolkeeper_lab.bench.report.compare import RATIO
from poolkeeper_lab.drill import drill_run

ROUNDS, SCALE = 3, 10  # the defaults
CLIENTS, KEPT = 2000, 32
PATIENCE = 90.0  # seconds for a connection, and for a transaction
HEAD_START = 3.0  # seconds for the drivers to be ready
ACCOUNTS = 100_000  # of pgbench, for each unit of the scale
SLEEP, SOON = 2.0, 1.0  # seconds: the statement of a busy session; a connection within SOON did not wait
FACTOR = 3.0  # the goal
STORM, ALONE = "a connection each", "kept sessions"
TIMES, FULL = "Times after the common start", "Sessions kept busy"
LAST = Measure("last done", "s", "less", TIMES)
P50, P99 = Measure("p50", "s", "less", TIMES), Measure("p99", "s", "less", TIMES)
REFUSED = Measure("refused", "", "less", TIMES)
AT_ONCE, WAITED = Measure("connected at once", "", "", FULL), Measure("waited", "", "", FULL)
TURNED_AWAY, LONGEST = Measure("refused", "", "less", FULL), Measure("longest wait", "s", "less", FULL)
TRANSACTIONS = {"write": WRITE, "read": READ}
METHOD = (
    f"{CLIENTS:,} clients connect at the same moment and run one transaction each; refused is every client that did "
    "not end well. Beside it, the same number of transactions on kept sessions of the same endpoint. Write: an update "
    "and an insert in one transaction; read: one row by its key. The drivers are on the same machine, and what they "
    f"use of it is reported. Sessions kept busy: the given number at once, each with a statement of {SLEEP:g} s."
)


class Storm:
    """The part."""

    def __init__(self, cluster: Cluster, options: BenchOptions) -> None:
        self._cluster, self._seed, self._is_full = cluster, options.seed, options.full
        self._rounds, self._scale = options.rounds or ROUNDS, options.scale or SCALE
        self._storms, self._full = RoundsRecord([], self._rounds, self._seed), RoundsRecord([], 1, self._seed)
        self._meter = meter.Meter({})
        self._seen: dict[str, dict[str, int]] = {}  # load → message → how often
        self._worst: dict[str, int] = {}  # load → the most refusals in a round, discarded rounds included
        self._numbers = count(self._seed)

    def run(self, progress: Progress) -> None:
        """Measure; the database is removed in any case.

        Raises:
            PoolkeeperError: if the measurement cannot be completed.
        """
        drilled, spec = drill_run.drilled(self._cluster), self._cluster.spec
        with progress.step("waiting for a healthy cluster"):
            primary = interrupts.run(drilled.wait_healthy(HEALTHY_SECONDS))
        with database.loaded(drilled.cluster, primary, self._scale, progress):
            self._meter = meter.Meter(bench_machine.container_pids(spec.name))
            found = {endpoint.key: endpoint for endpoint in bench_endpoints.own(spec, primary)}
            pooled, direct = (
                (str(spec.endpoints.rw.port), str(spec.endpoints.balanced.port)),
                str(spec.endpoints.direct_rw.port),
            )
            self._full = RoundsRecord(
                [self._busy(found[key]) for key in (*pooled, direct) if key in found], 1, self._seed
            )
            stormed = [found[key] for key in (*pooled, *([direct] if self._is_full else [])) if key in found]
            cases = [self._case(endpoint, kind) for endpoint in stormed for kind in TRANSACTIONS]
            self._storms = RoundsRecord(cases, self._rounds, self._seed)
            with progress.step("sessions kept busy, at and beyond what an endpoint serves"):
                rounds.play(self._full, progress)
            rounds.play(self._storms, progress)

    def _job(self, endpoint: BenchEndpoint, statements: tuple[str, ...], clients: int, sessions: int = 0) -> StormJob:
        cluster = self._cluster.with_passwords()
        dsn = Dsn(endpoint.host, endpoint.port, cluster.spec.roles.app, database.NAME, cluster.passwords["app"])
        accounts = ACCOUNTS * self._scale
        return storm_job.job(dsn, statements, clients, sessions, accounts, next(self._numbers), PATIENCE)

    def _case(self, endpoint: BenchEndpoint, kind: str) -> Case:
        sessions = min(KEPT, endpoint.capacity)
        about = {"endpoint": endpoint.key, "transaction": kind, "clients": str(CLIENTS), "kept": str(sessions)}
        contenders = tuple(
            Contender(how, self._taker(_what(endpoint.key, kind, how), make_job, self._storm_values))
            for how, make_job in (
                (ALONE, partial(self._job, endpoint, TRANSACTIONS[kind], CLIENTS, sessions)),
                (STORM, partial(self._job, endpoint, TRANSACTIONS[kind], CLIENTS)),
            )
        )
        return Case(about, contenders, (Ratio(STORM, ALONE, LAST),), axis="how")

    def _busy(self, endpoint: BenchEndpoint) -> Case:
        statement = (f"SELECT pg_sleep({SLEEP:g})",)
        contenders = tuple(
            Contender(
                str(clients),
                self._taker(
                    f"{endpoint.key}, {clients} busy sessions", partial(self._job, endpoint, statement, clients), _busy
                ),
            )
            for clients in levels(self._cluster, endpoint)
        )
        return Case({"endpoint": endpoint.key}, contenders, axis="sessions")

    def _taker(
        self,
        what: str,
        make_job: Callable[[], StormJob],
        values: Callable[[StormReport, meter.Usage], dict[Measure, float]],
    ) -> Callable[[], Sample]:
        def take() -> Sample:
            before = self._meter.read()
            report = perform(make_job())
            used = self._meter.since(before)
            self._note(what, storm_job.figures(report))
            return Sample(values(report, used), used.foreign)

        return take

    def _note(self, what: str, found: storm_job.Figures) -> None:
        """Keep refusals and messages; a refusal counts, however busy the machine was."""
        self._worst[what] = max(found.refused, self._worst.get(what, 0))
        for message, times in found.messages:
            seen = self._seen.setdefault(what, {})
            seen[message] = seen.get(message, 0) + times

    def _storm_values(self, report: StormReport, used: meter.Usage) -> dict[Measure, float]:
        return {**storm_values(report), **cpu_values(self._cluster, used, len(report.attempts))}

    def section(self) -> BenchSection:
        """Return the results so far."""
        spec = self._cluster.spec
        return BenchSection(
            name="storm",
            title=f"The storm: {CLIENTS:,} clients at once",
            method=METHOD,
            tally=self._storms.tally().plus(self._full.tally()),
            metrics=(*self._storms.metrics(), *self._full.metrics()),
            goals=tuple(goal for kind in TRANSACTIONS for goal in self._goals(str(spec.endpoints.rw.port), kind)),
            notes=tuple(f"{what}: {storm_job.message_counts(list(seen.items()))}" for what, seen in self._seen.items()),
            charts=(LAST.name,),
        )

    def _goals(self, endpoint: str, kind: str) -> list[BenchGoal]:
        """Return the goals: no refusal, and the last transaction done in time."""
        about = f"{endpoint}, storm of {CLIENTS:,}, {kind}"
        refused = BenchGoal(sentence=f"{about}: refused, in any round", limit=0, is_least=False)
        factor = BenchGoal(sentence=f"{about}: last done ÷ kept sessions", limit=FACTOR, is_least=False, unit=RATIO)
        for played in self._storms.played:
            if (played.case.about["endpoint"], played.case.about["transaction"]) != (endpoint, kind):
                continue
            (ratio,) = played.case.ratios
            metric = self._storms.ratio(played, ratio)
            worst = self._worst.get(_what(endpoint, kind, STORM))
            found = None if worst is None else estimate.estimate((float(worst),), self._seed)
            why = "" if found else played.reason(STORM)
            return [
                refused.model_copy(update={"estimate": found, "reason": why}),
                factor.model_copy(update={"estimate": metric.estimate, "reason": metric.reason}),
            ]
        return [goal.model_copy(update={"reason": "it was not run"}) for goal in (refused, factor)]


def _what(endpoint: str, kind: str, how: str) -> str:
    return f"{endpoint}, {kind}, {how}"


def levels(cluster: Cluster, endpoint: BenchEndpoint) -> tuple[int, ...]:
    """Return the numbers of sessions: those for clients, all of the endpoint's, and twice as many."""
    children = {
        str(endpoint.port): endpoint.num_init_children
        for endpoint in (cluster.spec.endpoints.rw, cluster.spec.endpoints.balanced)
    }
    total = children.get(endpoint.key, endpoint.capacity)
    return (total - 2, total, 2 * total)


def perform(job: StormJob, drivers: int | None = None) -> StormReport:
    """Let the drivers run a job, all from the same moment.

    Raises:
        EngineFailed: if a driver fails or is late.
    """
    parts = storm_job.shares(job, drivers or busy.cores())
    at = time.monotonic() + HEAD_START
    argv = (sys.executable, "-m", "poolkeeper_lab.bench.load.storm_driver")
    jobs = [(argv, replace(part, at=at).text()) for part in parts]
    return storm_job.combine([_report(done) for done in process.run_together(jobs, HEAD_START + 2 * PATIENCE + 30)])


def _report(done: process.Finished) -> StormReport:
    if not done.ok:
        raise errors.EngineFailed("a driver of the storm ended with an error", detail=done.stderr[-2000:])
    return StormReport.read(done.stdout)


def _busy(report: StormReport, used: meter.Usage) -> dict[Measure, float]:
    del used
    return busy_values(report)


def storm_values(report: StormReport) -> dict[Measure, float]:
    """Return the figures of a storm, or of kept sessions."""
    found = storm_job.figures(report)
    times = {LAST: found.last, P50: found.p50, P99: found.p99}
    return {REFUSED: float(found.refused), **{m: value for m, value in times.items() if value is not None}}


def busy_values(report: StormReport) -> dict[Measure, float]:
    """Return how many clients connected at once, waited or were refused, and the longest wait."""
    at_once, waited, longest = storm_job.waits(report, SOON)
    values: dict[Measure, float] = {AT_ONCE: float(at_once), WAITED: float(waited)}
    values[TURNED_AWAY] = float(storm_job.figures(report).refused)
    return values if longest is None else {**values, LONGEST: longest}


def cpu_values(cluster: Cluster, used: meter.Usage, transactions: int) -> dict[Measure, float]:
    """Return the CPU seconds of each part, the drivers included, for 1,000 transactions."""
    values: dict[Measure, float] = {}
    for name, seconds in (*used.parts.items(), ("", used.own)):
        part = bench_endpoints.part_of(cluster.spec, name) if name else "drivers"
        measure = Measure(part, "s", "less", WORK)
        values[measure] = values.get(measure, 0.0) + 1000 * seconds / transactions
    return values


def make(cluster: Cluster, options: BenchOptions) -> Storm:
    """Return the part."""
    return Storm(cluster, options)
