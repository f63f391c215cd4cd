"""Has every Patroni taken notice of maintenance mode, or of its end?"""

from __future__ import annotations

from collections.abc import Mapping

from poolkeeper.model.observed import Seen


def unaware(wanted: bool, answers: Mapping[str, Seen[bool]]) -> str | None:
    """Whose Patroni does not yet do what is wanted, as a sentence; None when all do. Silence is not consent."""
    late = [
        f"{node} {'does not answer' if not seen.is_known else 'is not paused' if wanted else 'is paused'}"
        for node, seen in answers.items()
        if seen.value is not wanted
    ]
    return ", ".join(late) or None
