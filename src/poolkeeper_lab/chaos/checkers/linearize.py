"""Is there one order of a register's operations, each at a moment within its interval, that explains all it told?

The search of Wing & Gong as Lowe refined it ("Testing for linearizability", 2017): walk through beginnings and ends in
time, keep every configuration that explains what has ended so far, and put an operation in its place only when the end
of one demands it. Configurations are remembered, so none is searched twice. A step that is open (INFO: it never ends)
may be put in at any later time or not at all; using fewer open steps can only help, so of two configurations that
differ in that alone the one with fewer is kept. A step that only looks, and fits, is put in at once: nothing changes.

Invariant: exact, unless the number of steps is used up; then the answer is "not known". Pure.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class SearchStep:
    """One operation: it demands to see a value, or not to see one, and puts one; each a tuple of none or one."""

    number: int
    began: float
    ended: float
    sees: tuple[Hashable, ...] = ()
    misses: tuple[Hashable, ...] = ()
    puts: tuple[Hashable, ...] = ()

    @property
    def is_open(self) -> bool:
        """May it take effect at any later time, or never?"""
        return math.isinf(self.ended)

    def fits(self, value: Hashable) -> bool:
        """Can it happen while the register holds that value?"""
        return value not in self.misses and (not self.sees or value in self.sees)

    def __str__(self) -> str:
        saw = [f"saw {value!r}" for value in self.sees] + [f"did not find {value!r}" for value in self.misses]
        return " and ".join([*saw, *(f"wrote {value!r}" for value in self.puts)])


@dataclass(frozen=True, slots=True)
class Configuration:
    """The register's value; which of the steps under way have happened; which open ones were used."""

    value: Hashable
    happened: frozenset[int] = frozenset()
    used: frozenset[int] = frozenset()


@dataclass(frozen=True)
class LinearizeResult:
    """`stuck` is the step that nothing explains; with it what the value could have been, and what was under way."""

    steps: int
    stuck: SearchStep | None = None
    values: tuple[Hashable, ...] = ()
    under_way: tuple[int, ...] = ()
    is_exhausted: bool = False


class _Exhausted(Exception):
    """The search was not finished within its steps."""


class _Frontier:
    """Configurations of which none has the same value and happenings as another with fewer open steps used."""

    def __init__(self) -> None:
        self._used: dict[tuple[Hashable, frozenset[int]], list[frozenset[int]]] = {}

    def add(self, new: Configuration) -> bool:
        """Is it news?"""
        known = self._used.setdefault((new.value, new.happened), [])
        if any(used <= new.used for used in known):
            return False
        known[:] = [used for used in known if not new.used <= used] + [new.used]
        return True

    def all(self) -> list[Configuration]:
        """Those with the fewest used first."""
        kept = [Configuration(*key, used) for key, known in self._used.items() for used in known]
        return sorted(kept, key=lambda configuration: len(configuration.used))


@dataclass
class _Search:
    most: int
    under_way: dict[int, SearchStep] = field(default_factory=dict)
    open: dict[int, SearchStep] = field(default_factory=dict)
    count: int = 0

    def advance(self, configurations: Iterable[Configuration], ending: SearchStep) -> list[Configuration]:
        """Those in which that step has happened, with as few others as needed before it."""
        done, seen = _Frontier(), _Frontier()
        todo = deque(settled for c in configurations if seen.add(settled := self._settle(c)))
        while todo:
            configuration = todo.popleft()
            if ending.number in configuration.happened:
                happened = configuration.happened - {ending.number}
                done.add(Configuration(configuration.value, happened, configuration.used))
                continue
            todo.extend(c for c in self._moves(configuration) if seen.add(c))
        return done.all()

    def _settle(self, at: Configuration) -> Configuration:
        looked = {s.number for s in self.under_way.values() if not s.puts and s.fits(at.value)}
        return Configuration(at.value, at.happened | looked, at.used) if looked else at

    def _moves(self, at: Configuration) -> Iterator[Configuration]:
        """What may happen next; an open step only where somebody sees it."""
        for step in self.under_way.values():
            self._count()
            if step.puts and step.number not in at.happened and step.fits(at.value):
                yield self._settle(Configuration(step.puts[0], at.happened | {step.number}, at.used))
        for step in self._wanted(at):
            yield from self._used(at, step)

    def _used(self, at: Configuration, step: SearchStep) -> Iterator[Configuration]:
        """An open step happens. If no look is settled by it, the next step has to see it: else it did not matter."""
        self._count()
        if step.number in at.used or not step.fits(at.value):
            return
        plain = Configuration(step.puts[0], at.happened, at.used | {step.number})
        settled = self._settle(plain)
        if settled != plain:
            yield settled
            return
        for following in self.under_way.values():
            if following.puts and plain.value in following.sees and following.number not in plain.happened:
                yield self._settle(Configuration(following.puts[0], plain.happened | {following.number}, plain.used))
        for following in self.open.values():
            if plain.value in following.sees:
                yield from self._used(plain, following)

    def _wanted(self, at: Configuration) -> Iterator[SearchStep]:
        """The open steps whose value somebody may look for, of those that only write one value the first unused."""
        looking = [*(s for s in self.under_way.values() if s.number not in at.happened), *self.open.values()]
        values = {value for step in looking for value in step.sees}
        is_any = any(step.misses for step in looking)
        told: set[Hashable] = set()
        for step in self.open.values():
            value = step.puts[0]
            if step.number in at.used or not (is_any or value in values) or value in told:
                continue
            if not step.sees:
                told.add(value)
            yield step

    def _count(self) -> None:
        self.count += 1
        if self.count > self.most:
            raise _Exhausted


def search(steps: Iterable[SearchStep], initial: Hashable, most: int) -> LinearizeResult:
    """Find an order, or the first end that no order explains, in at most so many tries."""
    steps = list(steps)
    marks = sorted(
        [(s.began, 0, s.number, s) for s in steps] + [(s.ended, 1, s.number, s) for s in steps if not s.is_open]
    )  # at the same instant what begins comes first: the two may have overlapped
    searched = _Search(most)
    configurations = [Configuration(initial)]
    for _, is_end, number, step in marks:
        if not is_end:
            (searched.open if step.is_open else searched.under_way)[number] = step
            continue
        try:
            left = searched.advance(configurations, step)
        except _Exhausted:
            return LinearizeResult(searched.count, is_exhausted=True)
        if not left:
            values = tuple(dict.fromkeys(c.value for c in configurations))
            return LinearizeResult(searched.count, step, values, tuple(n for n in searched.under_way if n != number))
        del searched.under_way[number]
        configurations = left
    return LinearizeResult(searched.count)
