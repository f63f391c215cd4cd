"""The rounds of a comparison: the same work for several contenders in turn, so that drift affects all of them equally.

A case is a piece of work with its contenders. A round measures each contender once in their order, and the next round
in the reverse order (A B B A). A ratio compares two measurements of one round. A round with more foreign load than
`meter.FOREIGN_LIMIT` is discarded completely, counted, and repeated; there are at most as many repetitions as rounds.
Invariant: the figures contain only kept rounds, and the report names each failed contender with its reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from poolkeeper.core import errors
from poolkeeper.core.progress import Progress
from poolkeeper_lab.bench.measure import estimate, meter
from poolkeeper_lab.bench.report.bench_model import Better, Metric, RoundTally
from poolkeeper_lab.bench.report.compare import RATIO

GIVE_UP = 2  # failures after which a contender is not tried again


@dataclass(frozen=True)
class Measure:
    """A measured quantity; `group` is the title of the table that shows it."""

    name: str
    unit: str = ""
    better: Better = ""
    group: str = ""


@dataclass(frozen=True)
class Sample:
    """The values of one contender in one round; `foreign` as in `meter.Usage`."""

    values: Mapping[Measure, float]
    foreign: float = 0.0


@dataclass(frozen=True)
class Contender:
    """A contender: `take` measures it once, and may raise a PoolkeeperError; `warm` prepares it without measuring."""

    name: str
    take: Callable[[], Sample]
    warm: Callable[[], None] = lambda: None


@dataclass(frozen=True)
class Ratio:
    """Numerator ÷ denominator: two contenders of one case, compared in each round."""

    numerator: str
    denominator: str
    of: Measure

    @property
    def name(self) -> str:
        """The name of its metric."""
        return f"{self.of.name} ÷ {self.denominator}"


@dataclass(frozen=True)
class Case:
    """A piece of work, its contenders, and the compared pairs. `axis` names the property in which contenders differ."""

    about: Mapping[str, str]
    contenders: tuple[Contender, ...]
    ratios: tuple[Ratio, ...] = ()
    axis: str = "endpoint"

    @property
    def title(self) -> str:
        """The title, for people."""
        return ", ".join(self.about.values())

    def about_of(self, contender: str) -> dict[str, str]:
        """Return the conditions of a contender's figures."""
        return {**self.about, self.axis: contender}


@dataclass
class PlayedRound:
    """The rounds of one case: contender → sample, and the errors of each contender."""

    case: Case
    rounds: list[dict[str, Sample]] = field(default_factory=list)
    discarded: int = 0
    failures: dict[str, list[str]] = field(default_factory=dict)

    @property
    def kept(self) -> int:
        """The number of kept rounds."""
        return len(self.rounds)

    def in_play(self, backwards: bool) -> list[Contender]:
        """Return the contenders that have not failed too often, in this round's order."""
        left = [c for c in self.case.contenders if len(self.failures.get(c.name, ())) < GIVE_UP]
        return left[::-1] if backwards else left

    def note(self, samples: dict[str, Sample]) -> bool:
        """Keep a round or discard it, and return whether it was kept."""
        if any(sample.foreign > meter.FOREIGN_LIMIT for sample in samples.values()):
            self.discarded += 1
            return False
        self.rounds.append(samples)
        return True

    def values(self, contender: str, of: Measure) -> list[float]:
        """Return the values of the kept rounds that have this measure."""
        return [r[contender].values[of] for r in self.rounds if contender in r and of in r[contender].values]

    def ratios(self, ratio: Ratio) -> list[float]:
        """Return the ratios of the kept rounds that have both values."""
        pairs = [
            (r[ratio.numerator].values.get(ratio.of), r[ratio.denominator].values.get(ratio.of))
            for r in self.rounds
            if ratio.numerator in r and ratio.denominator in r
        ]
        return [above / below for above, below in pairs if above is not None and below]

    def reason(self, contender: str) -> str:
        """Explain why a contender has no figure."""
        if failed := self.failures.get(contender):
            return failed[-1]
        return "every round was under foreign load" if self.discarded else "no round was taken"

    def tally(self, asked: int) -> RoundTally:
        """Return the counts of the rounds."""
        failed = sum(len(reasons) for reasons in self.failures.values())
        return RoundTally(asked=asked, kept=self.kept, discarded=self.discarded, failed=failed)


class RoundsRecord:
    """The rounds of all cases so far; readable at any time, also after an interruption."""

    def __init__(self, cases: Sequence[Case], rounds: int, seed: int) -> None:
        self.played = [PlayedRound(case) for case in cases]
        self.asked, self.seed = rounds, seed

    def metrics(self) -> Iterator[Metric]:
        """Yield every figure, case by case, followed by the ratios of the case."""
        for played in self.played:
            for contender in played.case.contenders:
                yield from self._of_contender(played, contender.name)
            for ratio in played.case.ratios:
                yield self.ratio(played, ratio)

    def _of_contender(self, played: PlayedRound, name: str) -> Iterator[Metric]:
        measures = dict.fromkeys(m for r in played.rounds if name in r for m in r[name].values)
        about = played.case.about_of(name)
        for m in measures:
            values = played.values(name, m)
            yield estimate.metric(about, m.name, values, self.seed, unit=m.unit, better=m.better, group=m.group)
        if not measures:
            usual = next((m for r in played.rounds for s in r.values() for m in s.values), Measure("figure"))
            why = played.reason(name)
            yield estimate.metric(about, usual.name, (), self.seed, unit=usual.unit, better=usual.better,
                                  group=usual.group, reason=why)  # fmt: skip

    def ratio(self, played: PlayedRound, ratio: Ratio) -> Metric:
        """Return the metric of a ratio."""
        reason = next(
            (played.reason(n) for n in (ratio.numerator, ratio.denominator) if not played.values(n, ratio.of)), ""
        )
        about = played.case.about_of(ratio.numerator)
        better, group = ratio.of.better, ratio.of.group
        return estimate.metric(about, ratio.name, played.ratios(ratio), self.seed, unit=RATIO, better=better,
                               group=group, reason=reason)  # fmt: skip

    def tally(self) -> RoundTally:
        """Return the counts of all cases together."""
        total = RoundTally()
        for played in self.played:
            total = total.plus(played.tally(self.asked))
        return total


def play(record: RoundsRecord, progress: Progress) -> None:
    """Take every round of every case; the record keeps the finished rounds, however the run ends."""
    with progress.step(f"warming up {sum(len(played.case.contenders) for played in record.played)} contenders"):
        for played in record.played:
            _warm(played, progress)
    for number in range(record.asked):
        with progress.step(f"round {number + 1} of {record.asked}"):
            for played in record.played:
                _round(played, number, progress)
    for played in record.played:
        for number in range(record.asked, 2 * record.asked):
            if played.kept >= record.asked or not played.in_play(False):
                break
            _round(played, number, progress)


def _warm(played: PlayedRound, progress: Progress) -> None:
    for contender in played.case.contenders:
        try:
            contender.warm()
        except errors.PoolkeeperError as e:
            played.failures.setdefault(contender.name, []).append(e.message)
            progress.note(f"{played.case.title}, {contender.name}, warm-up: {e.message}")


def _round(played: PlayedRound, number: int, progress: Progress) -> None:
    samples: dict[str, Sample] = {}
    for contender in played.in_play(number % 2 == 1):
        try:
            samples[contender.name] = contender.take()
        except errors.PoolkeeperError as e:
            played.failures.setdefault(contender.name, []).append(e.message)
            progress.note(f"{played.case.title}, {contender.name}: {e.message}")
    if samples and not played.note(samples):
        loudest = max(sample.foreign for sample in samples.values())
        progress.note(f"{played.case.title}: discarded, foreign load was {loudest:.0%} of the machine")
