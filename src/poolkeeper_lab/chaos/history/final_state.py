"""What the cluster was like after everything was healed: a document that others collect and `checkers.after` judges.

Invariant: None means that nobody could look; it is never the same as "nothing found". Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class EndState:
    """Every field but evidence may be unknown (None), and so may a node's part of one."""

    nodes: tuple[str, ...] | None = None  # that are declared, so have to be in each table below
    rows: Mapping[str, Mapping[str, str] | None] | None = None  # node → table → digest over all its rows
    timelines: Mapping[str, int | None] | None = None  # node → timeline
    amcheck: tuple[str, ...] | None = None  # its complaints
    checksum_failures: Mapping[str, int | None] | None = None  # node → pages
    orphaned_slots: tuple[str, ...] | None = None  # slots that no declared node uses
    drift: tuple[str, ...] | None = None  # disagreements of the witnesses, in words
    suite: str | None = None  # the validation suite's outcome: pass | fail | unknown
    suite_complaints: tuple[str, ...] = ()  # evidence: of its checks that did not pass, "name: outcome: why"
    heal_seconds: float | None = None  # from the end of a fault to a cluster that is whole again, the longest


def document(state: EndState) -> dict[str, Any]:
    """For JSON; evidence only where there is any."""
    return {name: value for name, value in asdict(state).items() if name != "suite_complaints" or value}


def of_document(read: Mapping[str, Any]) -> EndState:
    """From JSON. Raises TypeError on a field that is not known."""
    lists = {"nodes", "amcheck", "orphaned_slots", "drift", "suite_complaints"}
    fields: dict[str, Any] = {k: tuple(v) if k in lists and v is not None else v for k, v in read.items()}
    return EndState(**fields)
