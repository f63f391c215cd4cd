"""The state of the cluster after all faults were healed.

`final_state_collector` fills it and `final_state_checker` reads it.
Invariant: None means that the field could not be checked; it never means "nothing found". Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import ConfigDict, TypeAdapter

HEAL_SECONDS = 60.0  # the goal for the recovery of a cluster after the end of a fault


@dataclass(frozen=True)
class FinalState:
    """The final state. Every field except evidence may be unknown (None), and so may a node's part of one."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")
    nodes: tuple[str, ...] | None = None  # the declared ones, so each table below has to have them
    rows: Mapping[str, Mapping[str, str] | None] | None = None  # node → table → digest over all its rows
    timelines: Mapping[str, int | None] | None = None  # node → timeline
    amcheck: tuple[str, ...] | None = None  # its complaints
    checksum_failures: Mapping[str, int | None] | None = None  # node → pages
    orphaned_slots: tuple[str, ...] | None = None  # slots that no declared node uses
    drift: tuple[str, ...] | None = None  # disagreements of the components, in words
    suite: str | None = None  # the validation suite's outcome: pass | fail | unknown
    suite_complaints: tuple[str, ...] = ()  # evidence: of its checks that did not pass, "name: outcome: why"
    heal_seconds: float | None = None  # the longest time from the end of a fault to a recovered cluster


_ADAPTER = TypeAdapter(FinalState)


def document(state: FinalState) -> dict[str, Any]:
    """Return the state for JSON, with evidence only if there is any."""
    written: dict[str, Any] = _ADAPTER.dump_python(
        state, mode="json", exclude=None if state.suite_complaints else {"suite_complaints"}
    )
    return written


def of_document(read: Mapping[str, Any]) -> FinalState:
    """Return the state that `document` wrote.

    Raises:
        ValueError: if a field is unknown or has a wrong type (pydantic's ValidationError).
    """
    return _ADAPTER.validate_python(read)
