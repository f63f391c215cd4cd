"""The check that every Patroni has entered maintenance mode, or left it."""

from __future__ import annotations

from collections.abc import Mapping

from poolkeeper.model.observed import Seen


def unaware(wanted: bool, answers: Mapping[str, Seen[bool]]) -> str | None:
    """Name the nodes whose Patroni is not in the wanted mode, as a sentence; None when all are.

    A Patroni that does not answer counts as not in the wanted mode.
    """
    late = [
        f"{node} {'does not answer' if not seen.is_known else 'is not paused' if wanted else 'is paused'}"
        for node, seen in answers.items()
        if seen.value is not wanted
    ]
    return ", ".join(late) or None
