"""Check that each key is a register: every operation takes effect at one moment within its interval.

Each operation is one statement on the endpoint `rw`, with the value [key, …]: `read` [key, null], whose result is the
value it saw (null: no row); `write` [key, v]; `cas` [key, [old, new]], whose result is true, or false where it found
another value (which is an observation, not a FAIL). Values are numbers, words or null, and need not be unique.

Linearizability is local, so `linearize` checks the keys one by one. Operations at other endpoints are not checked,
because linearizability is not promised there. A key whose search takes too many steps is unknown.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from poolkeeper.model.endpoint_keys import RW
from poolkeeper_lab.chaos.checkers import linearize
from poolkeeper_lab.chaos.checkers.finding import Anomaly, CheckerFinding, nothing, some
from poolkeeper_lab.chaos.history.history import History, Operation

READ, WRITE, CAS = "read", "write", "cas"
NOT_LINEARIZABLE = "not-linearizable"


@dataclass(frozen=True)
class RegisterOptions:
    """The initial value of each key, and the limit of steps for the search of one key."""

    initial: Any = None
    steps: int = 500_000
    endpoint: str = RW


def check(history: History, options: Mapping[str, Any]) -> CheckerFinding:
    """Check each key separately."""
    wanted = RegisterOptions(**options)
    keys: dict[Any, list[Operation]] = {}
    for operation in history.operations:
        if operation.endpoint == wanted.endpoint:
            keys.setdefault(operation.value[0], []).append(operation)
    acknowledged = sum(o.is_ok for asked in keys.values() for o in asked)
    if not acknowledged:
        return nothing(f"nothing was acknowledged on the endpoint {wanted.endpoint}")
    invented = [found for key, asked in keys.items() for found in _invented(key, asked, wanted.initial)]
    impossible = {found.operations[0] for found in invented}
    results = {
        key: linearize.search(steps(asked), wanted.initial, wanted.steps)
        for key, asked in keys.items()
        if not impossible & {o.number for o in asked}  # no order explains such a read, and the search could be endless
    }
    unfinished = [key for key, result in results.items() if result.is_exhausted]
    figures = {"keys": len(keys), "acknowledged": acknowledged, "steps": sum(r.steps for r in results.values())}
    unknowns = [f"no order within {wanted.steps} steps for the keys {some(unfinished)}"] if unfinished else []
    if not any(o.f == READ and o.is_ok for asked in keys.values() for o in asked):
        unknowns.append("no read was answered")
    summary = f"{acknowledged} acknowledged operations on {len(keys)} keys"
    return CheckerFinding(summary, (*invented, *_anomalies(results)), tuple(unknowns), figures=figures)


def _invented(key: Any, asked: Sequence[Operation], initial: Any) -> Iterator[Anomaly]:
    """Yield the reads of a value that no client tried to write."""
    written = {initial, *(value for step in steps(asked) for value in step.puts)}
    for o in asked:
        if o.f == READ and o.is_ok and o.result not in written:
            words = f"key {key!r}: #{o.number} sees {o.result!r}, which no client wrote"
            yield Anomaly(NOT_LINEARIZABLE, words, (o.number,))


def steps(operations: Sequence[Operation]) -> Iterator[linearize.SearchStep]:
    """Yield each operation's step; a FAIL and a read without an answer have none.

    Raises:
        ValueError: if an operation is none of a register's.
    """
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
                f"key {key!r}: no order of the operations in progress explains #{stuck.number}, which {stuck}; "
                f"before it the value could have been {some(map(repr, result.values))}"
            )
            yield Anomaly(NOT_LINEARIZABLE, words, (stuck.number, *result.in_progress))
