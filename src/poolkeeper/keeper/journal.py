"""The keeper's actions and their causes: one JSON line an event, the latest of them kept for its API.

Invariant: a decision or a refusal that stands over many iterations is written once, when it begins, however the figures
in its cause change.
"""

from __future__ import annotations

import json
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from poolkeeper.model.decision import Decision, Refusal

KEPT = 500  # events that the API can still return


class Journal:
    """The events, newest last, and their number by kind."""

    def __init__(self, write: Callable[[str], None] = print) -> None:
        self.events: deque[dict[str, Any]] = deque(maxlen=KEPT)
        self.counts: Counter[str] = Counter()
        self._write = write
        self._standing: dict[str, frozenset[Decision | Refusal]] = {}

    def note(self, event: str, **details: Any) -> None:
        """Write one event. `event` is a word: started, decided, done, failed, declined, seen, store."""
        line = {"at": datetime.now(UTC).isoformat(timespec="milliseconds"), "event": event, **details}
        self.events.append(line)
        self.counts[event] += 1
        self._write(json.dumps(line, ensure_ascii=False))

    def begin(self, topic: str, decisions: Iterable[Decision | Refusal]) -> None:
        """Note those decisions and refusals of one topic that did not stand in its last iteration."""
        now = {_without_cause(decision): decision for decision in decisions}
        before = self._standing.get(topic, frozenset())
        for decision in (decision for key, decision in now.items() if key not in before):
            if isinstance(decision, Refusal):
                self.note("declined", what=decision.subject, why=decision.reason)
            else:
                self.note(
                    "decided", what=decision.verb.value, node=decision.node, why=decision.cause, **_proxy_of(decision)
                )
        self._standing[topic] = frozenset(now)


def _without_cause(decision: Decision | Refusal) -> Decision | Refusal:
    """Return the decision without its cause; a refusal stays as it is, for it is its words."""
    return replace(decision, cause="") if isinstance(decision, Decision) else decision


def _proxy_of(decision: Decision) -> dict[str, str]:
    return {"proxy": decision.proxy} if decision.proxy else {}
