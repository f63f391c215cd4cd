"""The words and figures that the reports of a drill share with the command line, so that they always agree."""

from __future__ import annotations

from collections.abc import Mapping

from poolkeeper_lab.drill.drill_results import Drill, DrillRound, Series
from poolkeeper_lab.drill.goals import GoalResult, Spread

SEGMENTS = {
    "detection": "the fault → the leader key is gone",
    "election": "→ another node owns the key",
    "promotion": "→ that node has left recovery",
    "routing": "→ the first write is acknowledged",
}
COLUMNS = ("Fault", "Rounds", "Write gap p50 / p95 / max", "Read gap p50 / max", "Back p50 / max", "× baseline", "Lost",
           "Duplicates", "Goals")  # fmt: skip
METHOD = (
    "A gap is the longest interval between two acknowledged statements around the fault, over a kept connection and "
    "fresh ones, as the clients saw it from before the fault until the victim was back. Percentiles are by nearest "
    "rank. Back: the time until the victim serves, streams and is attached. It counts from the end of the fault if the "
    "victim could not recover before that, else from the fault."
)
NONE = "–"


def headline(drill: Drill) -> str:
    """Return the verdict in one line."""
    rounds = [r for series in drill.series for r in series.rounds]
    broken = sum(bool(r.problem) for r in rounds)
    bad = {what: sum(s.total(what) for s in drill.series) for what in ("lost", "duplicates", "phantoms", "stale")}
    acknowledged = sum(series.total("acknowledged") for series in drill.series)
    if not rounds:
        return "Nothing was run"
    parts = [f"{count} {_BAD[what]}" for what, count in bad.items() if count]
    parts += [f"{broken} of {len(rounds)} rounds with a problem"] if broken else []
    return ", ".join(parts) or f"{len(rounds)} rounds, {acknowledged:,} writes acknowledged, none lost"


_BAD = {
    "lost": "acknowledged writes lost",
    "duplicates": "writes stored twice",
    "phantoms": "refused writes stored",
    "stale": "writes acknowledged by a former primary",
}


def seconds(value: float | None) -> str:
    """Return a length of time to the hundredth of a second."""
    return NONE if value is None else f"{value:.2f} s"


def three(found: Spread) -> str:
    """Return p50 / p95 / max."""
    return f"{seconds(found.p50)} / {seconds(found.p95)} / {seconds(found.max)}" if found.count else NONE


def two(found: Spread) -> str:
    """Return p50 / max."""
    return f"{seconds(found.p50)} / {seconds(found.max)}" if found.count else NONE


def rounds_of(series: Series) -> str:
    """Return how many rounds have figures: "10", "9 of 10", with those of the baseline after a plus."""

    def counted_of(keeper: bool) -> str:
        rounds = series.of(keeper)
        complete = sum(r.write is not None for r in rounds)
        return f"{complete}" if complete == len(rounds) else f"{complete} of {len(rounds)}"

    return counted_of(True) + (f" + {counted_of(False)} without keeper" if series.of(False) else "")


def ratio(series: Series) -> str:
    """Return the ratio of the write gaps, without the keeper to with it."""
    found = series.ratio()
    return NONE if found is None else f"{found:.1f} ×"


def goal(reached: GoalResult) -> str:
    """Return a goal as "write p50 ≤ 1.5 s: met (1.21)"."""
    measured = NONE if reached.measured is None else f"{reached.measured:.2f}"
    return f"{reached.goal}: {reached.word} ({measured})"


def goals(series: Series) -> str:
    """Return all goals of a fault."""
    return "; ".join(goal(reached) for reached in series.reached()) or "none set"


def counted(series: Series, what: str) -> str:
    """Return a number of writes, and the number of rounds for which it is unknown."""
    unchecked = sum(r.verdict is None for r in series.rounds)
    return f"{series.total(what)}" + (f" ({unchecked} not checked)" if unchecked else "")


def row(series: Series) -> tuple[str, ...]:
    """Return a fault's cells, in the order of COLUMNS."""
    return (
        series.fault,
        rounds_of(series),
        three(series.writes()),
        two(series.reads()),
        two(series.backs()),
        ratio(series),
        *(counted(series, what) for what in ("lost", "duplicates")),
        goals(series),
    )


def errors(counts: Mapping[str, int]) -> str:
    """Return error counts as "57P01 × 3, lost × 1"."""
    return ", ".join(f"{code} × {count}" for code, count in counts.items()) or "none"


def name(r: DrillRound) -> str:
    """Return a round's name as "kill_node, round 3, keeper off"."""
    return f"{r.fault}, round {r.number}{'' if r.keeper else ', keeper off'}"
