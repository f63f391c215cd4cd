"""The rounds of a comparison: the same work for several contenders, taken in turns, so that what drifts hits all alike.

A case is a piece of work with its contenders; a round of it takes each contender once, in their order, the next round
in the reverse order (A B B A). Ratios are of one round. A round in which anybody else used more of the machine than
`meter.FOREIGN_LIMIT` is discarded as a whole, counted, and taken again, as often again as rounds were asked for.
Invariant: only kept rounds are in the figures, and a contender that failed is told with its reason.
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
    """What is measured; `group` is the title of the table that shows it."""

    name: str
    unit: str = ""
    better: Better = ""
    group: str = ""


@dataclass(frozen=True)
class Sample:
    """One contender in one round; `foreign` as in `meter.Usage`."""

    values: Mapping[Measure, float]
    foreign: float = 0.0


@dataclass(frozen=True)
class Contender:
    """What takes part: `take` measures it once, and may raise a PoolkeeperError; `warm` prepares it, unmeasured."""

    name: str
    take: Callable[[], Sample]
    warm: Callable[[], None] = lambda: None


@dataclass(frozen=True)
class Ratio:
    """Numerator ÷ denominator, two contenders of one case, round by round."""

    numerator: str
    denominator: str
    of: Measure

    @property
    def name(self) -> str:
        """The name of its metric."""
        return f"{self.of.name} ÷ {self.denominator}"


@dataclass(frozen=True)
class Case:
    """A piece of work, its contenders, and which of them are compared. `axis` is what contenders differ in."""

    about: Mapping[str, str]
    contenders: tuple[Contender, ...]
    ratios: tuple[Ratio, ...] = ()
    axis: str = "endpoint"

    @property
    def title(self) -> str:
        """For people."""
        return ", ".join(self.about.values())

    def about_of(self, contender: str) -> dict[str, str]:
        """What a figure of a contender is about."""
        return {**self.about, self.axis: contender}


@dataclass
class PlayedRound:
    """The rounds of one case: contender → sample, and why there is none."""

    case: Case
    rounds: list[dict[str, Sample]] = field(default_factory=list)
    discarded: int = 0
    failures: dict[str, list[str]] = field(default_factory=dict)

    @property
    def kept(self) -> int:
        """How many rounds count."""
        return len(self.rounds)

    def in_play(self, backwards: bool) -> list[Contender]:
        """Those that have not failed too often, in this round's order."""
        left = [c for c in self.case.contenders if len(self.failures.get(c.name, ())) < GIVE_UP]
        return left[::-1] if backwards else left

    def note(self, taken: dict[str, Sample]) -> bool:
        """Keep a round or discard it; was it kept?"""
        if any(sample.foreign > meter.FOREIGN_LIMIT for sample in taken.values()):
            self.discarded += 1
            return False
        self.rounds.append(taken)
        return True

    def values(self, contender: str, of: Measure) -> list[float]:
        """Of the kept rounds that have it."""
        return [r[contender].values[of] for r in self.rounds if contender in r and of in r[contender].values]

    def ratios(self, ratio: Ratio) -> list[float]:
        """Of the kept rounds that have both."""
        pairs = [
            (r[ratio.numerator].values.get(ratio.of), r[ratio.denominator].values.get(ratio.of))
            for r in self.rounds
            if ratio.numerator in r and ratio.denominator in r
        ]
        return [above / below for above, below in pairs if above is not None and below]

    def reason(self, contender: str) -> str:
        """Why there is no figure of a contender."""
        if failed := self.failures.get(contender):
            return failed[-1]
        return "every round was under foreign load" if self.discarded else "no round was taken"

    def tally(self, asked: int) -> RoundTally:
        """The count of its rounds."""
        failed = sum(len(reasons) for reasons in self.failures.values())
        return RoundTally(asked=asked, kept=self.kept, discarded=self.discarded, failed=failed)


class RoundsRecord:
    """The rounds of all cases as they come; it can be read at any time, also after an interruption."""

    def __init__(self, cases: Sequence[Case], rounds: int, seed: int) -> None:
        self.played = [PlayedRound(case) for case in cases]
        self.asked, self.seed = rounds, seed

    def metrics(self) -> Iterator[Metric]:
        """Every figure, case by case, and the ratios after the figures that they are of."""
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
        """The metric of a ratio."""
        reason = next(
            (played.reason(n) for n in (ratio.numerator, ratio.denominator) if not played.values(n, ratio.of)), ""
        )
        about = played.case.about_of(ratio.numerator)
        better, group = ratio.of.better, ratio.of.group
        return estimate.metric(about, ratio.name, played.ratios(ratio), self.seed, unit=RATIO, better=better,
                               group=group, reason=reason)  # fmt: skip

    def tally(self) -> RoundTally:
        """Of all cases."""
        total = RoundTally()
        for played in self.played:
            total = total.plus(played.tally(self.asked))
        return total


def play(book: RoundsRecord, progress: Progress) -> None:
    """Take every round of every case. What is done by then stays in the book, whatever ends it."""
    with progress.step(f"warming up {sum(len(played.case.contenders) for played in book.played)} contenders"):
        for played in book.played:
            _warm(played, progress)
    for number in range(book.asked):
        with progress.step(f"round {number + 1} of {book.asked}"):
            for played in book.played:
                _round(played, number, progress)
    for played in book.played:
        for number in range(book.asked, 2 * book.asked):
            if played.kept >= book.asked or not played.in_play(False):
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
    taken: dict[str, Sample] = {}
    for contender in played.in_play(number % 2 == 1):
        try:
            taken[contender.name] = contender.take()
        except errors.PoolkeeperError as e:
            played.failures.setdefault(contender.name, []).append(e.message)
            progress.note(f"{played.case.title}, {contender.name}: {e.message}")
    if taken and not played.note(taken):
        loudest = max(sample.foreign for sample in taken.values())
        progress.note(f"{played.case.title}: discarded, others used {loudest:.0%} of the machine")
