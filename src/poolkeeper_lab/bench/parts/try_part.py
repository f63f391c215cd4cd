"""`bench try`: the effect of other values of cluster.toml on the path, in one run and in turn.

A variant is a set of keys with values that differ from the declared ones. `up` changes one cluster of the bench's own
from one variant to the next, as a user would. So the same data, client and machine serve all variants. Each round takes
them in the reverse order of the last one. An invalid variant is refused before anything is started.
"""

from __future__ import annotations

import copy
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from poolkeeper.cluster.handle import Cluster
from poolkeeper.core import errors, interrupts
from poolkeeper.core.progress import Progress
from poolkeeper.model import source
from poolkeeper.model.endpoint_keys import DIRECT_RW
from poolkeeper.model.spec import ClusterSpec
from poolkeeper_lab.bench import scratch_cluster
from poolkeeper_lab.bench.bench_parts import BenchOptions
from poolkeeper_lab.bench.load import load_runner, pgbench
from poolkeeper_lab.bench.measure import disk_space, rounds, startup_times
from poolkeeper_lab.bench.measure.rounds import Case, Contender, Measure, Ratio, RoundsRecord, Sample
from poolkeeper_lab.bench.report.bench_model import BenchSection
from poolkeeper_lab.drill import drill_run

DECLARED = "as declared"
ROUNDS, SECONDS, SCALE = 4, 3, 10
WARM_SECONDS = 1
HEALTHY_SECONDS = 120.0
GROUP = "Throughput"
METHOD = (
    "A cluster of the bench's own gets the values of each variant by `up`, is warmed up, and serves the same loads of "
    "pgbench; ratios are to the declared values in the same round."
)

Edit = tuple[tuple[str, ...], Any]


def read(variant: str) -> tuple[Edit, ...]:
    """Parse a variant such as "haproxy.hold_ms=0,endpoints.rw.max_pool=1"; a value that is not TOML is text.

    Raises:
        UsageError: if a part is not KEY=VALUE.
    """
    edits: list[Edit] = []
    for part in variant.split(","):
        key, equals, text = part.strip().partition("=")
        if not equals or not all(key.split(".")):
            raise errors.UsageError(f"{part!r} is not KEY=VALUE", hint="As: haproxy.hold_ms=0,endpoints.rw.max_pool=1")
        edits.append((tuple(key.split(".")), value(text)))
    return tuple(edits)


def value(text: str) -> Any:
    """Parse a number or a truth value as TOML; any other value is text."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def changed(made: Mapping[str, Any], edits: Sequence[Edit]) -> dict[str, Any]:
    """Return a copy of the document with these values.

    Raises:
        UsageError: if a key is below a value that is not a table.
    """
    found = copy.deepcopy(dict(made))
    for location, wanted in edits:
        table: Any = found
        for key in location[:-1]:
            table = table.setdefault(key, {}) if isinstance(table, dict) else None
        if not isinstance(table, dict):
            raise errors.UsageError(f"{'.'.join(location)} is not in a table of cluster.toml")
        table[location[-1]] = wanted
    return found


@dataclass(frozen=True)
class Put:
    """A load on an endpoint."""

    load: pgbench.PgbenchLoad
    port: int
    host: str
    label: str

    @property
    def measure(self) -> Measure:
        """Return the measure of the throughput."""
        return Measure(f"{self.label}, {self.load.title}", "tps", "more", GROUP)


def puts(spec: ClusterSpec) -> tuple[Put, ...]:
    """Return the measured loads of each variant, labelled with the ports of the declared cluster."""
    endpoint, endpoints = str(spec.haproxy.address), spec.endpoints
    simple = pgbench.PgbenchLoad(pgbench.READ_ONLY, pgbench.SIMPLE, 16)
    prepared = pgbench.PgbenchLoad(pgbench.READ_ONLY, pgbench.PREPARED, 16)
    fresh = pgbench.PgbenchLoad(pgbench.READ_ONLY, pgbench.SIMPLE, 16, is_fresh=True)
    writes = pgbench.PgbenchLoad(pgbench.TPC_B, pgbench.SIMPLE, 8)
    found = [
        Put(load, endpoints.rw.port, endpoint, label(endpoints.rw.port)) for load in (simple, prepared, fresh, writes)
    ]
    found.append(Put(simple, 9999, str(endpoints.balanced.address), label(endpoints.balanced.port)))
    if straight := spec.direct_endpoints().get(DIRECT_RW):
        found.append(Put(prepared, straight.port, endpoint, label(straight.port)))
    return tuple(found)


def label(port: int) -> str:
    """Return the port of the declared cluster for a port of the bench's cluster."""
    return str(port - startup_times.PORT_SHIFT)


class Variants:
    """The part."""

    def __init__(self, cluster: Cluster, options: BenchOptions) -> None:
        self._cluster, self._options = cluster, options
        self._rounds, self._scale = options.rounds or ROUNDS, options.scale or SCALE
        self._seconds = max(1, round(options.seconds or SECONDS))
        self._record = RoundsRecord([], self._rounds, options.seed)

    def documents(self) -> dict[str, dict[str, Any]]:
        """Map each variant to its cluster.toml, the declared one first.

        Raises:
            UsageError: if there is no variant, or one cannot be parsed.
            SpecError: if a variant is not a valid cluster.toml.
        """
        if not self._options.variants:
            raise errors.UsageError("there is nothing to try", hint="As: poolkeeper bench try haproxy.hold_ms=0")
        made = scratch_cluster.document(self._cluster.spec, len(self._cluster.spec.nodes))
        found = {DECLARED: made}
        for variant in self._options.variants:
            found[variant] = changed(made, read(variant))
            source.load(startup_times.to_toml(found[variant]), variant)
        return found

    def run(self, progress: Progress) -> None:
        """Measure; the cluster is removed in any case.

        Raises:
            PoolkeeperError: if the measurement cannot be completed.
        """
        documents = self.documents()
        with scratch_cluster.scratch(self._cluster, progress) as own:
            disk_space.check(len(self._cluster.spec.nodes), self._scale, disk_space.engine_folder())
            own.declare(documents[DECLARED])
            with progress.step("starting a cluster"):
                own.command("up")
            primary = interrupts.run(drill_run.drilled(own.cluster).wait_healthy(HEALTHY_SECONDS))
            with load_runner.ready(own.cluster, primary, self._scale, self._options.seed, progress) as loader:
                tryout = Tryout(own, loader, documents, self._seconds)
                contenders = tuple(tryout.contender(name) for name in documents)
                measures = [put.measure for put in puts(own.cluster.spec)]
                ratios = tuple(Ratio(name, DECLARED, m) for name in self._options.variants for m in measures)
                self._record = RoundsRecord(
                    [Case({}, contenders, ratios, axis="variant")], self._rounds, self._options.seed
                )
                rounds.play(self._record, progress)

    def section(self) -> BenchSection:
        """Return the results so far."""
        return BenchSection(
            name="try",
            title="Tried: other values of cluster.toml",
            method=f"{METHOD} Scale {self._scale}; {self._seconds} s a measurement, after a warm-up.",
            tally=self._record.tally(),
            metrics=tuple(self._record.metrics()),
        )


@dataclass
class Tryout:
    """The cluster and its current variant."""

    own: scratch_cluster.ScratchCluster
    loader: load_runner.Loader
    documents: Mapping[str, dict[str, Any]]
    seconds: int
    now: str = DECLARED

    def contender(self, name: str) -> Contender:
        """Return the contender of a variant."""
        return Contender(name, lambda: self._take(name))

    def _take(self, name: str) -> Sample:
        self._become(name)
        values: dict[Measure, float] = {}
        foreign = 0.0
        for put in puts(self.loader.cluster.spec):
            where, work = self.loader.where(put.port, put.host), load_runner.Work(put.load)
            if put.load.writes:
                self.loader.tidy()
            self.loader.measure(work, where, WARM_SECONDS)
            measured = self.loader.measure(work, where, self.seconds)
            values[put.measure] = measured.result.tps
            foreign = max(foreign, measured.usage.foreign)
        return Sample(values, foreign)

    def _become(self, name: str) -> None:
        """Apply the values of a variant to the cluster. Raises EngineFailed."""
        if name != self.now:
            self.own.declare(self.documents[name])
            self.now = ""  # incomplete: the next variant begins with an `up`
            self.own.command("up")
            cluster = self.own.cluster
            primary = interrupts.run(drill_run.drilled(cluster).wait_healthy(HEALTHY_SECONDS))
            self.loader.cluster, self.loader.primary = cluster, primary
            self.now = name
        self.loader.find_containers()


def make(cluster: Cluster, options: BenchOptions) -> Variants:
    """Return the part."""
    return Variants(cluster, options)
