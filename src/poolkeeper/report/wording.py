"""Words and symbols that all reports share: an outcome's symbol, durations and moments in words."""

from __future__ import annotations

from datetime import UTC, datetime

from poolkeeper.model.verdict import Outcome

SYMBOLS: dict[Outcome, str] = {Outcome.PASS: "✔", Outcome.FAIL: "✘", Outcome.UNKNOWN: "?"}
NO_EVIDENCE = "No evidence was collected."
NO_OUTPUT = "It returned nothing."


def duration(seconds: float) -> str:
    """Return a length of time with a suitable unit: "<1 ms", "12 ms", "3.2 s", "2 min 05 s"."""
    if seconds < 0.0005:
        return "0 ms" if seconds == 0 else "<1 ms"
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s"


def moment(iso: str) -> str:
    """Return an ISO 8601 time in words, in UTC; any other text stays as it is."""
    try:
        parsed = datetime.fromisoformat(iso)
        utc = parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)
        return f"{utc:%Y-%m-%d %H:%M:%S} UTC"
    except (ValueError, OverflowError):
        return iso
