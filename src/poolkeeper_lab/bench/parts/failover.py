"""`bench failover`: the drill's writers and ledger on our cluster and on the alternatives, in turn.

Every measurement starts a cluster from nothing, and only one is up at a time. A round measures the contenders one after
the other, and the next round in the reverse order. Invariant: the report names every lost acknowledged write,
every endpoint that did not serve again in time, and every quicker peer, whatever the medians are.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from poolkeeper.cluster.handle import Cluster
from poolkeeper.core import interrupts
from poolkeeper.core.progress import Progress
from poolkeeper.system import compose
from poolkeeper_lab.bench.bench_parts import BenchOptions
from poolkeeper_lab.bench.measure import estimate
from poolkeeper_lab.bench.measure.rounds import Case, Contender, Ratio, RoundsRecord, Sample, play
from poolkeeper_lab.bench.peers import peer_catalogue, peer_image, poolkeeper_peer, remarks, stack, trial
from poolkeeper_lab.bench.peers.contenders import CPUS, MEMORY, TrialCluster
from poolkeeper_lab.bench.peers.remarks import BACK, GAP, Record
from poolkeeper_lab.bench.peers.trial import FailoverTrial
from poolkeeper_lab.bench.report.bench_model import BenchGoal, BenchSection
from poolkeeper_lab.bench.report.compare import RATIO

ROUNDS = 3
PHASE_SECONDS = 10.0  # the fault happens at a random time within this period: the longest loop of any peer
LEAST_RATIO = 10.0
METHOD = (
    "Each measurement starts a cluster from nothing, lets the drill's two writers work at its endpoint (one on a kept "
    "session, every 5 ms; one with a session for each write, every 0.1 s), injects one fault, and compares in the end "
    "all that was acknowledged with what the serving node has. The write gap is the longest time without an "
    f"acknowledged write around the fault. Every container of every cluster may use {CPUS:g} CPU and {MEMORY} of "
    f"memory; only one cluster is up at a time. A gap that had not ended {trial.SERVED_SECONDS} s after the fault "
    "counts with what was seen of it. A cluster has recovered when it has one primary, from which "
    "every other node streams. Foreign load is that of the seconds before the fault."
)
Perform = Callable[[TrialCluster, str, float, Progress], FailoverTrial]


class Failover:
    """The part. Each measurement uses a cluster of its own; `options.peers` and `options.faults` select among them."""

    def __init__(self, cluster: Cluster, options: BenchOptions, perform: Perform = trial.perform) -> None:
        self._cluster, self._perform = cluster, perform
        self._seed, self._rounds = options.seed, options.rounds or ROUNDS
        self._peers = peer_catalogue.choose(options.peers)
        self._faults = peer_catalogue.choose_faults(options.faults)
        self._chance = random.Random(options.seed)
        self._records: list[Record] = []
        self._versions: dict[str, str] = {}
        self._beside = False
        self._record = RoundsRecord([], self._rounds, options.seed)

    def run(self, progress: Progress) -> None:
        """Measure; everything that was started is removed in any case.

        Raises:
            PoolkeeperError: if the measurement cannot be completed.
        """
        spec = self._cluster.spec
        self._beside = any(container.is_running for container in compose.containers(spec.name).values())
        built = peer_image.ensure(self._cluster, progress)
        names = [package for peer in self._peers for package in peer.packages]
        self._versions = peer_image.versions(built, names) if names else {}
        with tempfile.TemporaryDirectory(prefix="poolkeeper-bench-") as scratch:
            found = self._clusters(Path(scratch), built)
            try:
                stack.sweep()
                self.measure(found, progress)
            finally:
                with interrupts.signals_blocked():
                    stack.sweep()

    def _clusters(self, scratch: Path, built: str) -> list[TrialCluster]:
        passwords = scratch / "passwords"
        stack.make_passwords(passwords)
        sources = peer_image.copy(scratch)
        ours: TrialCluster = poolkeeper_peer.PoolkeeperPeer(
            self._cluster.spec, self._cluster.image_sources, scratch / "own"
        )
        return [ours, *(stack.Stack(peer, sources, built, passwords) for peer in self._peers)]

    def measure(self, found: Sequence[TrialCluster], progress: Progress) -> None:
        """Take the rounds. The first cluster is ours, and the others are compared with it."""
        cases = [self._case(fault, found, progress) for fault in self._faults]
        self._record = RoundsRecord([case for case in cases if case.contenders], self._rounds, self._seed)
        play(self._record, progress)

    def _case(self, fault: str, found: Sequence[TrialCluster], progress: Progress) -> Case:
        able = [cluster for cluster in found if not cluster.cannot(fault)]
        contenders = tuple(self._contender(cluster, fault, progress) for cluster in able)
        ratios = tuple(
            Ratio(cluster.title, poolkeeper_peer.TITLE, GAP)
            for cluster in able
            if cluster.title != poolkeeper_peer.TITLE
        )
        return Case({"fault": fault}, contenders, ratios, axis="cluster")

    def _contender(self, cluster: TrialCluster, fault: str, progress: Progress) -> Contender:
        def take() -> Sample:
            result = self._perform(cluster, fault, self._chance.uniform(0, PHASE_SECONDS), progress)
            record = Record(cluster.title, fault, result)
            self._records.append(record)
            progress.note(remarks.line(record))
            return Sample({GAP: result.gap} | ({BACK: result.back} if result.back is not None else {}), result.foreign)

        return Contender(cluster.title, take)

    def section(self) -> BenchSection:
        """Return the results so far."""
        return BenchSection(
            name="failover",
            title="Failover: beside what people would pick instead",
            method=METHOD,
            tally=self._record.tally(),
            metrics=tuple(self._record.metrics()),
            goals=(self._goal(),) if self._wants_goal else (),
            notes=(
                *self._not_run(),
                *remarks.problems(self._records),
                *remarks.better(self._gaps(), self._peers, self._seed),
            ),
            charts=(GAP.name,),
            tables=(remarks.outcomes(self._records), remarks.peers(self._peers, self._versions)),
        )

    @property
    def _wants_goal(self) -> bool:
        return peer_catalogue.PATRONI_FASTEST in self._peers and peer_catalogue.KILL_NODE in self._faults

    def _goal(self) -> BenchGoal:
        peer = peer_catalogue.PATRONI_FASTEST.title
        values, reason = self._of(peer_catalogue.KILL_NODE, peer)
        found = estimate.estimate(values, self._seed)
        sentence = f"{peer_catalogue.KILL_NODE}, write gap: {peer} ÷ {poolkeeper_peer.TITLE}"
        return BenchGoal(
            sentence=sentence, limit=LEAST_RATIO, unit=RATIO, estimate=found, reason="" if found else reason
        )

    def _of(self, fault: str, peer: str) -> tuple[list[float], str]:
        for played in self._record.played:
            ratio = next((r for r in played.case.ratios if r.numerator == peer), None)
            if played.case.about["fault"] == fault and ratio:
                return played.ratios(ratio), self._record.ratio(played, ratio).reason
        return [], "it was not run"

    def _gaps(self) -> Mapping[tuple[str, str], list[float]]:
        """Map each (fault, cluster) to the gaps of the kept rounds."""
        return {
            (played.case.about["fault"], contender.name): played.values(contender.name, GAP)
            for played in self._record.played
            for contender in played.case.contenders
        }

    def _not_run(self) -> list[str]:
        beside = [f"the cluster {self._cluster.spec.name} was running beside every measurement"]
        cannot = [
            f"{peer.title}, {fault}: not run, {why}"
            for peer in self._peers
            for fault, why in peer.cannot.items()
            if fault in self._faults
        ]
        return [*(beside if self._beside else ()), *cannot]


def make(cluster: Cluster, options: BenchOptions) -> Failover:
    """Return the part."""
    return Failover(cluster, options)
