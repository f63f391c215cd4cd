"""Write the four reports of the suite, and read back what the last run found.

All files are replaced together, or none is (`report.writer`). The JSON of the run before is kept as
`pgpool-validation.previous.json` if it is readable, so that a failure can be compared with the last run; nothing else
is kept.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from poolkeeper.model.verdict import Suite
from poolkeeper.report import writer
from poolkeeper.suite import report_json, report_junit, suite_report

STEM = "pgpool-validation"
_RENDERERS: dict[str, Callable[[Suite], str]] = {
    ".md": suite_report.to_markdown,
    ".html": suite_report.to_html,
    ".xml": report_junit.render,
    ".json": report_json.render,
}


class LastRun(NamedTuple):
    """The outcomes of the last report: check id → outcome.

    `note` gives the reason why an existing report could not be used.
    """

    outcomes: dict[str, str]
    note: str = ""


def write_all(suite: Suite, directory: Path) -> tuple[Path, ...]:
    """Write the reports as .md, .html, .xml and .json (in this order) and return their paths.

    Raises:
        PermissionRefused: if the directory or a file is not writable.
        DiskFull: if there is no space left.
        PoolkeeperError: if the operating system refuses for another reason.
    """
    texts = {directory / f"{STEM}{suffix}": render(suite) for suffix, render in _RENDERERS.items()}
    writer.write_all({**_previous(directory), **texts}, directory)
    return tuple(texts)


def last_outcomes(directory: Path) -> LastRun:
    """Return the outcomes of the last run; none without a report, and none with a note if it cannot be used."""
    path = _json_path(directory)
    try:
        return LastRun(report_json.outcomes_of(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return LastRun({})
    except (OSError, ValueError) as e:
        reason = e.strerror if isinstance(e, OSError) else "it is damaged or not a Poolkeeper report"
        return LastRun({}, f"The last report {path} was not used: {reason}. This run is compared with nothing.")


def _json_path(directory: Path) -> Path:
    return directory / f"{STEM}.json"


def _previous(directory: Path) -> dict[Path, str]:
    """Return the last run's JSON under its second name; nothing if it is missing or damaged."""
    try:
        text = _json_path(directory).read_text(encoding="utf-8")
        report_json.outcomes_of(text)
    except (OSError, ValueError):
        return {}
    return {directory / f"{STEM}.previous.json": text}
