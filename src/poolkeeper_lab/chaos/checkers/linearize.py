"""Search for one order of a register's operations, each at a moment within its interval, that explains all results.

The algorithm is that of Wing & Gong as Lowe refined it ("Testing for linearizability", 2017). It follows the begins and
ends in time, keeps every configuration that explains the ended operations, and places an operation only when the end of
one demands it. It remembers configurations, so it searches none twice. An open step (INFO: it never ends) may be placed
at any later time or not at all. Using fewer open steps can only help, so of two configurations that differ only in that
the one with fewer is kept. A step that only reads and is allowed is placed at once, because it changes nothing.

Invariant: exact, unless the limit of steps is reached; then the answer is "not known". Pure.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class SearchStep:
    """One operation: it has to see a value, or not to see one, and puts one; each a tuple of none or one."""

    number: int
    began: float
    ended: float
    sees: tuple[Hashable, ...] = ()
    misses: tuple[Hashable, ...] = ()
    puts: tuple[Hashable, ...] = ()

    @property
    def is_open(self) -> bool:
        """Whether it may take effect at any later time, or never."""
        return math.isinf(self.ended)

    def is_allowed(self, value: Hashable) -> bool:
        """Return whether the step can happen while the register holds that value."""
        return value not in self.misses and (not self.sees or value in self.sees)

    def __str__(self) -> str:
        saw = [f"saw {value!r}" for value in self.sees] + [f"did not find {value!r}" for value in self.misses]
        return " and ".join([*saw, *(f"wrote {value!r}" for value in self.puts)])


@dataclass(frozen=True, slots=True)
class Configuration:
    """The register's value, the steps in progress that have happened, and the open steps that were used."""

    value: Hashable
    happened: frozenset[int] = frozenset()
    used: frozenset[int] = frozenset()


@dataclass(frozen=True)
class LinearizeResult:
    """The result: `stuck` is the step that no order explains, with the possible values and the steps in progress."""

    steps: int
    stuck: SearchStep | None = None
    values: tuple[Hashable, ...] = ()
    in_progress: tuple[int, ...] = ()
    is_exhausted: bool = False


class _Exhausted(Exception):
    """The search did not end within its limit of steps."""


class _Frontier:
    """The configurations, without those that equal another one but use more open steps."""

    def __init__(self) -> None:
        self._used: dict[tuple[Hashable, frozenset[int]], list[frozenset[int]]] = {}

    def add(self, new: Configuration) -> bool:
        """Add a configuration; return whether it is new."""
        known = self._used.setdefault((new.value, new.happened), [])
        if any(used <= new.used for used in known):
            return False
        known[:] = [used for used in known if not new.used <= used] + [new.used]
        return True

    def all(self) -> list[Configuration]:
        """Return all configurations, those with the fewest used steps first."""
        kept = [Configuration(*key, used) for key, known in self._used.items() for used in known]
        return sorted(kept, key=lambda configuration: len(configuration.used))


@dataclass
class _Search:
    limit: int
    in_progress: dict[int, SearchStep] = field(default_factory=dict)
    open: dict[int, SearchStep] = field(default_factory=dict)
    count: int = 0

    def advance(self, configurations: Iterable[Configuration], ending: SearchStep) -> list[Configuration]:
        """Return the configurations in which that step has happened, with as few others as needed before it."""
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
        reads = {s.number for s in self.in_progress.values() if not s.puts and s.is_allowed(at.value)}
        return Configuration(at.value, at.happened | reads, at.used) if reads else at

    def _moves(self, at: Configuration) -> Iterator[Configuration]:
        """Yield the next configurations; an open step happens only if another step sees its value."""
        for step in self.in_progress.values():
            self._count()
            if step.puts and step.number not in at.happened and step.is_allowed(at.value):
                yield self._settle(Configuration(step.puts[0], at.happened | {step.number}, at.used))
        for step in self._wanted(at):
            yield from self._used(at, step)

    def _used(self, at: Configuration, step: SearchStep) -> Iterator[Configuration]:
        """Yield the configurations after an open step. If it settles no read, the next step has to see its value."""
        self._count()
        if step.number in at.used or not step.is_allowed(at.value):
            return
        plain = Configuration(step.puts[0], at.happened, at.used | {step.number})
        settled = self._settle(plain)
        if settled != plain:
            yield settled
            return
        for following in self.in_progress.values():
            if following.puts and plain.value in following.sees and following.number not in plain.happened:
                yield self._settle(Configuration(following.puts[0], plain.happened | {following.number}, plain.used))
        for following in self.open.values():
            if plain.value in following.sees:
                yield from self._used(plain, following)

    def _wanted(self, at: Configuration) -> Iterator[SearchStep]:
        """Yield the open steps whose value a step may need; of plain writes of one value, only the first unused."""
        waiting = [*(s for s in self.in_progress.values() if s.number not in at.happened), *self.open.values()]
        values = {value for step in waiting for value in step.sees}
        is_any = any(step.misses for step in waiting)
        offered: set[Hashable] = set()
        for step in self.open.values():
            value = step.puts[0]
            if step.number in at.used or not (is_any or value in values) or value in offered:
                continue
            if not step.sees:
                offered.add(value)
            yield step

    def _count(self) -> None:
        self.count += 1
        if self.count > self.limit:
            raise _Exhausted


def search(steps: Iterable[SearchStep], initial: Hashable, limit: int) -> LinearizeResult:
    """Find an order, or the first end that no order explains, in at most `limit` tries."""
    steps = list(steps)
    marks = sorted(
        [(s.began, 0, s.number, s) for s in steps] + [(s.ended, 1, s.number, s) for s in steps if not s.is_open]
    )  # at the same instant, begins come before ends: the two operations may have overlapped
    searched = _Search(limit)
    configurations = [Configuration(initial)]
    for _, is_end, number, step in marks:
        if not is_end:
            (searched.open if step.is_open else searched.in_progress)[number] = step
            continue
        try:
            left = searched.advance(configurations, step)
        except _Exhausted:
            return LinearizeResult(searched.count, is_exhausted=True)
        if not left:
            values = tuple(dict.fromkeys(c.value for c in configurations))
            return LinearizeResult(searched.count, step, values, tuple(n for n in searched.in_progress if n != number))
        del searched.in_progress[number]
        configurations = left
    return LinearizeResult(searched.count)
