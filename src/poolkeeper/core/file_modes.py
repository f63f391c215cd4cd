"""The modes of the files and folders that Poolkeeper writes: set explicitly, so that no umask changes them.

Two kinds exist. Only the operator reads private files: passwords, locks. The users inside the containers, which are
other users of this machine, read shared files: the rendered configuration and the sources of the images.
"""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

PRIVATE_FILE, PRIVATE_FOLDER = 0o600, 0o700
SHARED_FILE, SHARED_PROGRAM, SHARED_FOLDER = 0o644, 0o755, 0o755


def make_folder(path: Path, mode: int = SHARED_FOLDER) -> None:
    """Create a folder and its missing parents with exactly this mode; an existing folder keeps its own."""
    if path.is_dir():
        return
    if not os.path.lexists(path.parent):
        make_folder(path.parent, mode)
    try:
        path.mkdir(mode=mode)
    except FileExistsError:
        if not path.is_dir():
            raise
        return  # another thread or process was faster
    path.chmod(mode)


def folder_mode(file_mode: int) -> int:
    """Return the mode of a folder for files of this mode: as private, or as shared."""
    return SHARED_FOLDER if file_mode & 0o044 else PRIVATE_FOLDER


def set_mode(path: Path, mode: int) -> None:
    """Give an existing file or folder this mode; a symbolic link and a missing path stay as they are."""
    try:
        seen = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISLNK(seen) and stat.S_IMODE(seen) != mode:
        path.chmod(mode)


def set_tree(root: Path, file: int) -> None:
    """Give every file below a folder this mode, and every folder, `root` too, the mode that goes with it."""
    if not root.is_dir() or root.is_symlink():
        return
    set_mode(root, folder_mode(file))  # first: without it, this user may be unable to list the folder
    for path in root.iterdir():
        if path.is_dir():
            set_tree(path, file)
        else:
            set_mode(path, file)


def open_file(path: Path, flags: int, mode: int) -> int:
    """Open a file, created if the flags say so, and give it exactly this mode; return its descriptor."""
    set_mode(path, mode)
    handle = os.open(path, flags, mode)
    try:
        os.fchmod(handle, mode)
    except BaseException:
        os.close(handle)
        raise
    return handle


def is_program(path: Path) -> bool:
    """Tell whether the owner may execute a file: the one bit of a checkout's modes that its umask never takes."""
    return bool(path.stat().st_mode & 0o100)


def copy_tree(source: Path, target: Path, *without: str) -> None:
    """Copy a folder, without the names in `without` at any depth.

    Every user may read the copy, and execute its programs, whatever the modes of the source are.
    """
    make_folder(target)
    for path in source.iterdir():
        if path.name in without:
            continue
        copy = target / path.name
        if path.is_dir():
            copy_tree(path, copy, *without)
        else:
            shutil.copyfile(path, copy)
            copy.chmod(SHARED_PROGRAM if is_program(path) else SHARED_FILE)
