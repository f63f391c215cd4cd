"""One line of a measurement: its name, its value, and whether the value meets its goal. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

_UNITS = {"B": 1, "kB": 1e3, "KiB": 1024, "MB": 1e6, "MiB": 1024**2, "GB": 1e9, "GiB": 1024**3}
_SIZE = re.compile(r"([\d.]+)\s*([A-Za-z]+)")


@dataclass(frozen=True)
class BenchFigure:
    """A measured value, or None if it could not be measured. `goal` is its upper limit, or None."""

    name: str
    value: float | None
    unit: str = ""
    goal: float | None = None
    remark: str = ""

    @property
    def is_met(self) -> bool | None:
        """Whether the value meets the goal; None without a goal or a value."""
        return None if self.goal is None or self.value is None else self.value <= self.goal

    @property
    def text(self) -> str:
        """The value with its unit, for people."""
        if self.value is None:
            return "unknown"
        number = f"{self.value:.0f}" if float(self.value).is_integer() else f"{self.value:.2f}"
        return f"{number} {self.unit}".rstrip()


def as_document(figures: Sequence[BenchFigure]) -> dict[str, Any]:
    """Return the figures as plain data, for scripts."""
    return {
        f.name: {
            "value": None if f.value is None else round(f.value, 3),
            "unit": f.unit,
            "goal": f.goal,
            "met": f.is_met,
            **({"remark": f.remark} if f.remark else {}),
        }
        for f in figures
    }


def read_size(text: str | None) -> float | None:
    """Convert a size as the engine prints it ("36.41MiB") to MB, 10^6 bytes; None if there is none."""
    found = _SIZE.fullmatch((text or "").strip())
    return float(found[1]) * _UNITS[found[2]] / 1e6 if found and found[2] in _UNITS else None


def cpu_share(before: float | None, after: float | None, seconds: float) -> float | None:
    """Return the share of one core, in per cent, from two readings of a process's CPU time `seconds` apart.

    The result is None if a reading is missing, or if the later one is smaller: it then belongs to another process.
    """
    if before is None or after is None or after < before or seconds <= 0:
        return None
    return 100 * (after - before) / seconds
