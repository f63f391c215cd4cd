"""A drill as JSON for programs, schema 1. Keys are only ever added within a schema; readers ignore unknown ones.

schema, cluster, started_at (ISO 8601, UTC), seconds, seed, rounds_asked
sound        every round ran and healed, and no write was lost, duplicated, stored although refused, or acknowledged
             by a former primary
faults       [{"fault", "sentence", "write_gap", "read_gap", "back", "errors", "lost", "duplicates", "phantoms",
               "stale", "acknowledged", "refused", "ambiguous", "ratio", "goals", "baseline", "rounds"}]
  write_gap, read_gap, back   {"count", "p50", "p95", "max"} in seconds, nearest rank; null if there is none
  baseline   the same three, and "errors", of the rounds with the keeper off; null if there were none
  goals      [{"goal", "limit", "measured", "met"}]; "met" is null if nothing was measured
  rounds     [{"number", "keeper", "victim", "problem", "write_gap", "write_gap_begin", "write_gap_by_client",
               "read_gap", "split", "new_primary", "healed", "back", "lost", "duplicates"}]; times in seconds after
             the fault, "back" as in the documentation of the drill; "lost" and "duplicates" are ids
"""

from __future__ import annotations

from typing import Any

from poolkeeper.report import plain
from poolkeeper_lab.drill.drill_results import Drill, DrillRound, EndpointGap, Series
from poolkeeper_lab.drill.goals import Spread

SCHEMA = 1
_COUNTED = ("lost", "duplicates", "phantoms", "stale", "acknowledged", "refused", "ambiguous")


def render(drill: Drill) -> str:
    """Return the document, indented, ending in one newline."""
    return plain.text(document(drill))


def document(drill: Drill) -> dict[str, Any]:
    """Return the document as plain data."""
    return {
        "schema": SCHEMA,
        "cluster": drill.cluster,
        "started_at": drill.started_at,
        "seconds": round(drill.seconds, 3),
        "seed": drill.seed,
        "rounds_asked": drill.asked,
        "sound": drill.is_sound,
        "faults": [_series(series) for series in drill.series],
    }


def _series(series: Series) -> dict[str, Any]:
    return {
        "fault": series.fault,
        "sentence": series.sentence,
        **_figures(series, keeper=True),
        **{what: series.total(what) for what in _COUNTED},
        "ratio": _round(series.ratio()),
        "goals": [
            {"goal": str(r.goal), "limit": r.goal.limit, "measured": _round(r.measured), "met": r.is_met}
            for r in series.reached()
        ],
        "baseline": _figures(series, keeper=False) if series.of(False) else None,
        "rounds": [_one(r) for r in series.rounds],
    }


def _figures(series: Series, keeper: bool) -> dict[str, Any]:
    return {
        "write_gap": _spread(series.writes(keeper)),
        "read_gap": _spread(series.reads(keeper)),
        "back": _spread(series.backs(keeper)),
        "errors": series.errors(keeper),
    }


def _spread(found: Spread) -> dict[str, Any]:
    return {key: _round(value) if key != "count" else value for key, value in plain.data(found).items()}


def _one(r: DrillRound) -> dict[str, Any]:
    verdict = r.verdict
    return {
        "number": r.number,
        "keeper": r.keeper,
        "victim": r.victim,
        "problem": r.problem,
        "write_gap": _length(r.write),
        "write_gap_begin": _round(r.write.begin) if r.write else None,
        "write_gap_by_client": {name: _round(s) for name, s in r.write.by_client.items()} if r.write else {},
        "read_gap": _length(r.read),
        "split": {name: _round(seconds) for name, seconds in r.split.parts} if r.split else None,
        "new_primary": r.split.new_primary if r.split else None,
        "healed": _round(r.healed),
        "back": _round(r.back),
        "lost": list(verdict.lost) if verdict else None,
        "duplicates": list(verdict.duplicates) if verdict else None,
    }


def _length(gap: EndpointGap | None) -> float | None:
    return _round(gap.seconds) if gap else None


def _round(seconds: float | None) -> float | None:
    """Return the time in tenths of a millisecond, which are finer than the measurement."""
    return None if seconds is None else round(seconds, 4)
