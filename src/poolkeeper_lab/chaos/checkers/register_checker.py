"""Registers: each key behaves as one variable that every operation touches at one moment within its interval.

Operations, each one statement on the endpoint `rw`, and [key, …] its value: `read` [key, null], whose result is what it saw
(null: no row); `write` [key, v]; `cas` [key, [old, new]], whose result is true or, where another value was found, false
(which is an observation, not a FAIL). Values are numbers, words or null, and need not be unique.

Linearizability is local, so keys are judged one by one (`linearize`). Operations at other endpoints are not judged, since
nothing of the kind is promised there. A key whose search takes too many steps is unknown.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from poolkeeper_lab.chaos.checkers import linearize
from poolkeeper_lab.chaos.checkers.finding import Anomaly, CheckerFinding, nothing, some
from poolkeeper_lab.chaos.history.history import History, Operation

READ, WRITE, CAS = "read", "write", "cas"
NOT_LINEARIZABLE = "not-linearizable"


@dataclass(frozen=True)
class RegisterOptions:
    """What each key holds at first, and how many steps the search of one key may take."""

    initial: Any = None
    steps: int = 500_000
    endpoint: str = "rw"


def check(history: History, options: Mapping[str, Any]) -> CheckerFinding:
    """Judge each key by itself."""
    wanted = RegisterOptions(**options)
    keys: dict[Any, list[Operation]] = {}
    for operation in history.operations:
        if operation.endpoint == wanted.endpoint:
            keys.setdefault(operation.value[0], []).append(operation)
    acknowledged = sum(o.is_ok for asked in keys.values() for o in asked)
    if not acknowledged:
        return nothing(f"nothing was acknowledged on the endpoint {wanted.endpoint}")
    invented = [found for key, asked in keys.items() for found in _invented(key, asked, wanted.initial)]
    spoilt = {found.operations[0] for found in invented}
    results = {
        key: linearize.search(steps(asked), wanted.initial, wanted.steps)
        for key, asked in keys.items()
        if not spoilt & {o.number for o in asked}  # no order explains it, and to search for one could take for ever
    }
    unsure = [key for key, result in results.items() if result.is_exhausted]
    figures = {"keys": len(keys), "acknowledged": acknowledged, "steps": sum(r.steps for r in results.values())}
    unknowns = [f"no order within {wanted.steps} steps for the keys {some(unsure)}"] if unsure else []
    if not any(o.f == READ and o.is_ok for asked in keys.values() for o in asked):
        unknowns.append("no read was answered")
    summary = f"{acknowledged} acknowledged operations on {len(keys)} keys"
    return CheckerFinding(summary, (*invented, *_anomalies(results)), tuple(unknowns), figures=figures)


def _invented(key: Any, asked: Sequence[Operation], initial: Any) -> Iterator[Anomaly]:
    """Reads of what nobody tried to write."""
    written = {initial, *(value for step in steps(asked) for value in step.puts)}
    for o in asked:
        if o.f == READ and o.is_ok and o.result not in written:
            words = f"key {key!r}: #{o.number} sees {o.result!r}, which nobody wrote"
            yield Anomaly(NOT_LINEARIZABLE, words, (o.number,))


def steps(operations: Sequence[Operation]) -> Iterator[linearize.SearchStep]:
    """What can be seen or done by each; a FAIL and a read without an answer do neither."""
    for operation in operations:
        if not (operation.is_fail or (operation.f == READ and operation.is_info)):
            yield _step(operation)


def _step(operation: Operation) -> linearize.SearchStep:
    argument = operation.value[1]
    times = (operation.number, operation.began, operation.ended)
    match operation.f:
        case "read":
            return linearize.SearchStep(*times, sees=(operation.result,))
        case "write":
            return linearize.SearchStep(*times, puts=(argument,))
        case "cas" if operation.is_ok and operation.result is False:
            return linearize.SearchStep(*times, misses=(argument[0],))
        case "cas":
            return linearize.SearchStep(*times, sees=(argument[0],), puts=(argument[1],))
    raise ValueError(f"a register has no operation {operation.f!r}")


def _anomalies(results: Mapping[Any, linearize.LinearizeResult]) -> Iterator[Anomaly]:
    for key, result in results.items():
        stuck = result.stuck
        if stuck is not None:
            words = (
                f"key {key!r}: no order of what was under way explains #{stuck.number}, which {stuck}; "
                f"before it the value could have been {some(map(repr, result.values))}"
            )
            yield Anomaly(NOT_LINEARIZABLE, words, (stuck.number, *result.under_way))
