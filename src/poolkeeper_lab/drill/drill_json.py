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

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AliasPath, BaseModel, BeforeValidator, ConfigDict, Field

from poolkeeper.report import plain
from poolkeeper_lab.drill.drill_results import Drill, Series

_COUNTED = ("lost", "duplicates", "phantoms", "stale", "acknowledged", "refused", "ambiguous")

# In tenths of a millisecond, which are finer than the measurement.
Seconds = Annotated[float, AfterValidator(lambda seconds: round(seconds, 4))]


class _Document(BaseModel):
    model_config = ConfigDict(from_attributes=True, frozen=True)


class SpreadDocument(_Document):
    """A `Spread`."""

    count: int
    p50: Seconds | None
    p95: Seconds | None
    max: Seconds | None


class FiguresDocument(_Document):
    """The figures of a fault's rounds, with the keeper or without."""

    write_gap: SpreadDocument
    read_gap: SpreadDocument
    back: SpreadDocument
    errors: dict[str, int]


class GoalDocument(_Document):
    """A `GoalResult`."""

    goal: Annotated[str, BeforeValidator(str)]
    limit: float = Field(validation_alias=AliasPath("goal", "limit"))
    measured: Seconds | None
    met: bool | None = Field(validation_alias="is_met")


class RoundDocument(_Document):
    """A `DrillRound`; what it did not measure is null."""

    number: int
    keeper: bool
    victim: str
    problem: str
    write_gap: Seconds | None = Field(None, validation_alias=AliasPath("write", "seconds"))
    write_gap_begin: Seconds | None = Field(None, validation_alias=AliasPath("write", "begin"))
    write_gap_by_client: dict[str, Seconds] = Field({}, validation_alias=AliasPath("write", "by_client"))
    read_gap: Seconds | None = Field(None, validation_alias=AliasPath("read", "seconds"))
    split: Annotated[dict[str, Seconds], BeforeValidator(dict)] | None = Field(
        None, validation_alias=AliasPath("split", "parts")
    )
    new_primary: str | None = Field(None, validation_alias=AliasPath("split", "new_primary"))
    healed: Seconds | None
    back: Seconds | None
    lost: tuple[int, ...] | None = Field(None, validation_alias=AliasPath("verdict", "lost"))
    duplicates: tuple[int, ...] | None = Field(None, validation_alias=AliasPath("verdict", "duplicates"))


class _Fault(_Document):
    fault: str
    sentence: str


class SeriesDocument(FiguresDocument, _Fault):  # the keys of the last base come first
    """A `Series`."""

    lost: int
    duplicates: int
    phantoms: int
    stale: int
    acknowledged: int
    refused: int
    ambiguous: int
    ratio: Seconds | None
    goals: tuple[GoalDocument, ...]
    baseline: FiguresDocument | None
    rounds: tuple[RoundDocument, ...]


class DrillDocument(_Document):
    """A `Drill`, as the module's first lines describe it."""

    schema_number: Literal[1] = Field(1, alias="schema")
    cluster: str
    started_at: str
    seconds: Annotated[float, AfterValidator(lambda seconds: round(seconds, 3))]
    seed: int
    rounds_asked: int
    sound: bool
    faults: tuple[SeriesDocument, ...]


def render(drill: Drill) -> str:
    """Return the document, indented, ending in one newline."""
    return plain.text(document(drill))


def document(drill: Drill) -> Any:
    """Return the document as plain data."""
    return plain.data(
        DrillDocument(
            cluster=drill.cluster,
            started_at=drill.started_at,
            seconds=drill.seconds,
            seed=drill.seed,
            rounds_asked=drill.asked,
            sound=drill.is_sound,
            faults=tuple(_series(series) for series in drill.series),
        )
    )


def _series(series: Series) -> SeriesDocument:
    return SeriesDocument(
        fault=series.fault,
        sentence=series.sentence,
        **_figures(series, keeper=True),
        **{what: series.total(what) for what in _COUNTED},
        ratio=series.ratio(),
        goals=tuple(GoalDocument.model_validate(result) for result in series.reached()),
        baseline=FiguresDocument(**_figures(series, keeper=False)) if series.of(False) else None,
        rounds=tuple(RoundDocument.model_validate(found) for found in series.rounds),
    )


def _figures(series: Series, keeper: bool) -> dict[str, Any]:
    return {
        "write_gap": series.writes(keeper),
        "read_gap": series.reads(keeper),
        "back": series.backs(keeper),
        "errors": series.errors(keeper),
    }
