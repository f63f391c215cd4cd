"""The folder `.poolkeeper/` beside `cluster.toml`: secrets, rendered files, applied files, and the lock.

    secrets/         0700, one file per password (0600); secrets/pool holds pool_passwd and the key of its AES entries
    rendered/        the Compose file and every configuration file, world-readable; they contain no secret
    applied/         a copy of each rendered file as the running containers last read it; cluster.json, their spec
    pgpass, pg_service.conf, engine.log, build-ROLE.log

Invariant: every file is written completely or not at all; `up` completes a folder that an interrupted `up` left. The
modes depend on no umask, and `prepare` repairs those of an earlier run.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets as random
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from poolkeeper.core import errors, file_modes
from poolkeeper.model.endpoint_keys import DIRECT
from poolkeeper.model.spec import ClusterSpec

# The passwords that the first start generates.
SECRET_NAMES = ("superuser", "replication", "rewind", "check", "app", "pcp", "rest", "stats")

FORMER = "applied/cluster.json"


@dataclass(frozen=True)
class State:
    """The paths in the folder."""

    root: Path

    @property
    def rendered(self) -> Path:
        """The folder of the rendered files."""
        return self.root / "rendered"

    @property
    def compose_file(self) -> Path:
        """The rendered Compose file."""
        return self.rendered / "compose.yml"

    @property
    def secrets(self) -> Path:
        """The folder of the passwords."""
        return self.root / "secrets"

    @property
    def pool_passwd(self) -> Path:
        """Pgpool-II's user list; its entries are AES-encrypted."""
        return self.secrets / "pool" / "pool_passwd"

    @property
    def pool_key(self) -> Path:
        """The key of those entries."""
        return self.secrets / "pool" / "pool_key"

    @property
    def pgpass(self) -> Path:
        """The password file of libpq for the published ports."""
        return self.root / "pgpass"

    @property
    def engine_log(self) -> Path:
        """The log of an engine that Poolkeeper started itself."""
        return self.root / "engine.log"


def write(path: Path, text: str, mode: int = file_modes.PRIVATE_FILE) -> None:
    """Write a file completely or not at all, with exactly this mode; missing folders are created to go with it.

    Raises:
        PermissionRefused: if this user may not write it.
        DiskFull: if no space is left.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        file_modes.make_folder(path.parent, file_modes.folder_mode(mode))
        with os.fdopen(file_modes.open_file(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as out:
            out.write(text.encode())
            out.flush()
            os.fsync(out.fileno())
        temporary.replace(path)
    except BaseException as e:  # Ctrl-C too: the former file stays, without a partial one beside it
        with contextlib.suppress(OSError):
            temporary.unlink()
        if isinstance(e, OSError):
            raise _wrapped(e, path) from e
        raise


def _wrapped(e: OSError, path: Path) -> errors.PoolkeeperError:
    if e.errno == 28:
        return errors.DiskFull(
            f"no space left to write {path}", hint="Free some disk space, then run the command again."
        )
    return errors.PermissionRefused(f"cannot write {path}: {e.strerror}", hint="Check the folder's owner and mode.")


def prepare(state: State) -> None:
    """Create the folder and the missing passwords, and repair the modes; an existing password never changes.

    Raises:
        PermissionRefused: if this user may not write the folder.
        DiskFull: if no space is left.
    """
    try:
        for folder in (state.root, state.secrets, state.secrets / "pool"):
            file_modes.make_folder(folder, file_modes.PRIVATE_FOLDER)
            file_modes.set_mode(folder, file_modes.PRIVATE_FOLDER)
        _repair_modes(state)
    except OSError as e:
        raise _wrapped(e, state.root) from e
    for name in SECRET_NAMES:
        path = state.secrets / name
        if not path.exists():
            write(path, random.token_hex(16))
    if not state.pool_key.exists():
        write(state.pool_key, random.token_hex(32))


def _repair_modes(state: State) -> None:
    """Give the files of an earlier run their modes: the folder may have been copied, or written under another umask."""
    file_modes.set_tree(state.secrets, file_modes.PRIVATE_FILE)
    for folder in (state.rendered, state.root / "applied"):
        file_modes.set_tree(folder, file_modes.SHARED_FILE)
    file_modes.set_mode(state.pgpass, file_modes.PRIVATE_FILE)
    for path in (state.root / "pg_service.conf", state.engine_log, *state.root.glob("build-*.log")):
        file_modes.set_mode(path, file_modes.SHARED_FILE)


def read_secrets(state: State) -> dict[str, str]:
    """Return every password by its name.

    Raises:
        ClusterNotUp: if no passwords were generated yet.
        PermissionRefused: if this user may not read them.
    """
    try:
        return {name: (state.secrets / name).read_text(encoding="utf-8").strip() for name in SECRET_NAMES}
    except FileNotFoundError as e:
        raise errors.ClusterNotUp(
            f"this cluster was never started: {state.secrets} has no passwords", hint="Start it with: poolkeeper up"
        ) from e
    except OSError as e:
        raise errors.PermissionRefused(f"cannot read {state.secrets}: {e.strerror}") from e


def write_tree(root: Path, files: Mapping[str, str]) -> None:
    """Make a folder hold exactly these files (relative path → text); unchanged files are not written.

    The users inside the containers can read all of it.

    Raises:
        PermissionRefused: if this user may not write it.
        DiskFull: if no space is left.
    """
    try:
        file_modes.set_tree(root, file_modes.SHARED_FILE)
    except OSError as e:
        raise _wrapped(e, root) from e
    for path, text in files.items():
        if _read(root / path) != text:
            write(root / path, text, mode=file_modes.SHARED_FILE)
    for path in set(read_tree(root)) - set(files):
        (root / path).unlink(missing_ok=True)


def read_tree(root: Path) -> dict[str, str]:
    """Return every file below a folder: relative path → text."""
    found = (path for path in sorted(root.rglob("*")) if path.is_file() and not path.name.endswith(".tmp"))
    return {str(path.relative_to(root)): path.read_bytes().decode() for path in found}


def _read(path: Path) -> str | None:
    return path.read_bytes().decode() if path.is_file() else None


def read_applied(state: State) -> dict[str, str]:
    """Return the rendered files as the running containers last read them."""
    return read_tree(state.root / "applied")


def record_applied(state: State, files: Mapping[str, str]) -> None:
    """Record that the running containers read these files."""
    for path, text in files.items():
        write(state.root / "applied" / path, text, mode=file_modes.SHARED_FILE)


def read_former(state: State) -> ClusterSpec | None:
    """Return the spec of the cluster's creation or last `up`; None if none was recorded or it is unreadable."""
    text = _read(state.root / FORMER)
    try:
        return ClusterSpec.model_validate_json(_with_direct_endpoints(text)) if text is not None else None
    except ValueError:  # an older Poolkeeper wrote it
        return None


def _with_direct_endpoints(text: str) -> str:
    """Add port 0 for each direct endpoint that is missing: an older Poolkeeper had none of them."""
    document = json.loads(text)
    if isinstance(document, dict) and isinstance(endpoints := document.get("endpoints"), dict):
        for key in DIRECT:
            endpoints.setdefault(key, {"port": 0})
    return json.dumps(document)


def record_former(state: State, spec: ClusterSpec) -> None:
    """Record the spec of the cluster."""
    write(state.root / FORMER, spec.model_dump_json(indent=1) + "\n", mode=file_modes.SHARED_FILE)


def forget_cluster(state: State) -> None:
    """Remove the files that belong to the removed data; the passwords stay for the next cluster."""
    shutil.rmtree(state.root / "applied", ignore_errors=True)
    state.pool_passwd.unlink(missing_ok=True)


def purge(state: State) -> None:
    """Remove the folder with all its files."""
    shutil.rmtree(state.root, ignore_errors=True)


@contextlib.contextmanager
def lock(state: State, name: str = "lock") -> Iterator[None]:
    """Hold a lock during the block: only one command at a time changes a cluster.

    A command that runs others (a drill) has a lock with its own name, against other commands of its kind.

    Raises:
        StateLocked: at once, if another command holds the lock.
        PermissionRefused: if this user may not write the folder.
    """
    try:
        file_modes.make_folder(state.root, file_modes.PRIVATE_FOLDER)
        file_modes.set_mode(state.root, file_modes.PRIVATE_FOLDER)
        handle = file_modes.open_file(state.root / name, os.O_RDWR | os.O_CREAT, file_modes.PRIVATE_FILE)
    except OSError as e:
        raise _wrapped(e, state.root) from e
    try:
        _take(handle, state)
        yield
    finally:
        os.close(handle)


def _take(handle: int, state: State) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as e:
        raise errors.StateLocked(
            f"another poolkeeper command is changing the cluster of {state.root.parent}", hint="Wait for it to end."
        ) from e
