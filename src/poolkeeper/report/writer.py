"""Write the files of a report: all of them, or none.

Invariant: a reader never sees half a report. Every file is written under a temporary name and then moved into place, so
a full disk leaves the earlier reports as they were.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from poolkeeper.core import file_modes
from poolkeeper.core.errors import DiskFull, PermissionRefused, PoolkeeperError
from poolkeeper.report import html, markdown
from poolkeeper.report.document import Document


def write_report(document: Document, json: str, directory: Path, stem: str) -> tuple[Path, ...]:
    """Write STEM.md, STEM.html and STEM.json; return their paths in this order.

    Raises:
        PermissionRefused: if the directory or a file is not writable.
        DiskFull: if there is no space left.
    """
    texts = {".md": markdown.render(document), ".html": html.render(document), ".json": json}
    return write_all({directory / f"{stem}{suffix}": text for suffix, text in texts.items()}, directory)


def write_all(texts: Mapping[Path, str], directory: Path) -> tuple[Path, ...]:
    """Write every text to its path in the directory; return the paths.

    Raises:
        PermissionRefused: if the directory or a file is not writable.
        DiskFull: if there is no space left.
        PoolkeeperError: if the operating system refuses for another reason.
    """
    try:
        file_modes.make_folder(directory)
        _replace_all(texts)
    except OSError as e:
        raise _explain(e, directory) from e
    return tuple(texts)


def _replace_all(texts: Mapping[Path, str]) -> None:
    """Write every text beside its place, then move them all; leave no temporary file after an error."""
    mark = secrets.token_hex(4)
    temporary = {path: path.with_name(f".{path.name}.{mark}.tmp") for path in texts}
    try:
        for path, text in texts.items():
            _write_new(temporary[path], text)
        for path, written in temporary.items():
            os.replace(written, path)
    finally:
        for written in temporary.values():
            with contextlib.suppress(OSError):
                written.unlink(missing_ok=True)


def _write_new(path: Path, text: str) -> None:
    """Write a file that does not exist yet, and flush it to the disk."""
    with path.open("x", encoding="utf-8", newline="\n") as file:
        os.fchmod(file.fileno(), file_modes.SHARED_FILE)
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _explain(e: OSError, directory: Path) -> PoolkeeperError:
    """Return the error with its place and the next step."""
    message = f"The reports cannot be written to {directory}: {e.strerror or e}"
    if e.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        hint = f"Make {directory} writable for this user, or name another directory, and run the command again."
        return PermissionRefused(message, hint=hint)
    if e.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFull(message, hint=f"Free space on the disk that holds {directory} and run the command again.")
    return PoolkeeperError(message, hint=f"Check that {directory} is a usable directory of this machine.")
