"""Puts the four reports down, and reads back what the last run found.

Invariant: a reader never sees half a report. All files are written aside first and then moved into place, so a full
disk leaves the former reports as they were. The JSON of the run before is kept as `pgpool-validation.previous.json`
(if it can be read), for whoever comes to a failure and asks what the last good run looked like; nothing else is kept.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from poolkeeper.core.errors import DiskFull, PermissionRefused, PoolkeeperError
from poolkeeper.model.verdict import Suite
from poolkeeper.suite import report_html, report_json, report_junit, suite_report

STEM = "pgpool-validation"
_RENDERERS: dict[str, Callable[[Suite], str]] = {
    ".md": suite_report.render,
    ".html": report_html.render,
    ".xml": report_junit.render,
    ".json": report_json.render,
}


class LastRun(NamedTuple):
    """What the last report said: check id → outcome. `note` tells why a report that is there could not be used."""

    outcomes: dict[str, str]
    note: str = ""


def write_all(suite: Suite, directory: Path) -> tuple[Path, ...]:
    """Write the reports as .md, .html, .xml and .json (in this order) and return their paths.

    Raises PermissionRefused, DiskFull, or PoolkeeperError for what else a disk can refuse.
    """
    texts = {directory / f"{STEM}{suffix}": render(suite) for suffix, render in _RENDERERS.items()}
    try:
        directory.mkdir(parents=True, exist_ok=True)
        _replace_all({**_previous(directory), **texts})
    except OSError as e:
        raise _explain(e, directory) from e
    return tuple(texts)


def last_outcomes(directory: Path) -> LastRun:
    """The outcomes of the last run; none when there is no report, and none with a note when it cannot be used."""
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
    """The last run's JSON under its second name; nothing where there is none worth keeping."""
    try:
        text = _json_path(directory).read_text(encoding="utf-8")
        report_json.outcomes_of(text)
    except (OSError, ValueError):
        return {}
    return {directory / f"{STEM}.previous.json": text}


def _replace_all(texts: dict[Path, str]) -> None:
    """Write every text beside its place, then move them all; leave nothing aside on an error."""
    mark = secrets.token_hex(4)
    asides = {path: path.with_name(f".{path.name}.{mark}.tmp") for path in texts}
    try:
        for path, text in texts.items():
            _write_new(asides[path], text)
        for path, aside in asides.items():
            os.replace(aside, path)
    finally:
        for aside in asides.values():
            with contextlib.suppress(OSError):
                aside.unlink(missing_ok=True)


def _write_new(path: Path, text: str) -> None:
    """Write a file that is not there yet, through to the disk."""
    with path.open("x", encoding="utf-8", newline="\n") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _explain(e: OSError, directory: Path) -> PoolkeeperError:
    """The disk's refusal with where it was and what to do next."""
    message = f"The reports cannot be written to {directory}: {e.strerror or e}"
    if e.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        hint = f"Make {directory} writable for this user, or name another directory, and run the suite again."
        return PermissionRefused(message, hint=hint)
    if e.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFull(message, hint=f"Free space on the disk that holds {directory} and run the suite again.")
    return PoolkeeperError(message, hint=f"Check that {directory} is a directory of this machine that can be used.")
