"""Install the distribution's packages, as root or by a sudo that asks for no password.

Invariant: the machine's sources, preferences and keys are never changed. A package of another suite is fetched with a
private configuration in a temporary folder. No other package can come from that suite, then or later.
Not promised: a user interface. apt is silent here, and its last lines are shown only where it fails.
"""

from __future__ import annotations

import functools
import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from poolkeeper.core import errors, file_modes
from poolkeeper.system import apt_sources, process

LISTS = Path("/var/lib/apt/lists")
LISTS_MAX_AGE = 86_400.0  # seconds; a day, like apt's own daily timer
LOCK_SECONDS = 120.0  # another apt, such as the unattended upgrade after a boot, may take this long
_ENVIRONMENT = ("LC_ALL=C", "DEBIAN_FRONTEND=noninteractive", "NEEDRESTART_SUSPEND=1")
_OPTIONS = (
    f"DPkg::Lock::Timeout={LOCK_SECONDS:.0f}",
    "Acquire::http::Timeout=20",
    "Acquire::https::Timeout=20",
    "Acquire::Retries=1",
    "Dpkg::Options::=--force-confold",
)


@dataclass(frozen=True)
class Distribution:
    """The fields of /etc/os-release, such as "debian", "12", "bookworm", "Debian GNU/Linux 12 (bookworm)"."""

    id: str
    release: str
    codename: str
    name: str


@functools.cache
def distribution(path: Path = Path("/etc/os-release")) -> Distribution:
    """Return this machine's distribution; a field that the file lacks is empty."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    words = {key: value.strip("\"'") for key, _, value in (line.partition("=") for line in lines)}
    return Distribution(
        id=words.get("ID", "").lower(),
        release=words.get("VERSION_ID", ""),
        codename=words.get("VERSION_CODENAME", ""),
        name=words.get("PRETTY_NAME", "") or "this system",
    )


@functools.cache
def root_prefix() -> tuple[str, ...] | None:
    """Return the prefix of a command that needs root: none, `sudo -n`, or None where this user cannot become root."""
    if os.geteuid() == 0:
        return ()
    if process.find("sudo") and process.run(["sudo", "-n", "true"], timeout=10).ok:
        return ("sudo", "-n")
    return None


def as_root(argv: Sequence[str]) -> list[str]:
    """Return the command that runs `argv` as root, with the system's folders in its PATH.

    Raises:
        PermissionRefused: if this user cannot become root.
    """
    prefix = root_prefix()
    if prefix is None:
        raise errors.PermissionRefused(
            f"{argv[0]} needs root", hint="Run it as root, or allow sudo without a password."
        )
    return [*prefix, "env", f"PATH={os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin", *argv]


def is_usable() -> bool:
    """Return whether this user may install packages with apt."""
    return process.find("apt-get") is not None and root_prefix() is not None


def install(packages: Sequence[str]) -> None:
    """Install packages (names, or paths of .deb files) without their recommendations.

    The lists are fetched first where they are missing or a day old, else only if the installation fails. An interrupted
    dpkg is completed.

    Raises:
        EngineFailed: with apt's last lines, if a package could not be installed.
    """
    updated = update() if _are_lists_old() else None
    done = _apt_get(["install", "--no-install-recommends", *packages])
    if not done.ok:
        process.run(as_root(["env", *_ENVIRONMENT, "dpkg", "--configure", "-a"]))
        updated = updated or update()
        done = _apt_get(["install", "--no-install-recommends", *packages])
    if not done.ok:
        raise errors.EngineFailed(
            f"apt could not install {' '.join(Path(package).name for package in packages)}",
            hint="If a mirror does not answer, check the network, the proxy and /etc/apt; then run the command again.",
            detail="\n".join(part for part in (_complaints(updated), _tail(done.output)) if part),
        )


def update() -> process.Finished:
    """Fetch the lists; return the finished apt.

    A source that fails is no error here: the installation fails if it needs that source.
    """
    return _apt_get(["update"])


def borrow(package: str, suite: str) -> None:
    """Install one package of another suite of this machine's archive; its dependencies come from the machine's suite.

    Raises:
        EngineFailed: if no source of this machine has its codename, or the archive does not answer.
    """
    source = apt_sources.find(apt_sources.read(), distribution().codename, architecture())
    if source is None:
        raise errors.EngineFailed(
            f"no source in /etc/apt has the suite {distribution().codename}, so {package} has no source",
            hint="Install Docker Compose v2 manually, then run the command again.",
        )
    with tempfile.TemporaryDirectory(prefix="poolkeeper-apt-", ignore_cleanup_errors=True) as name:
        try:
            install([str(_download(package, source.with_suite(suite), Path(name)))])
        finally:  # with sudo, root owns the files in it
            process.run(as_root(["find", name, "-mindepth", "1", "-delete"]))


def architecture() -> str:
    """Return dpkg's name of this machine's architecture, such as "amd64"; "" where there is no dpkg."""
    return process.run(["dpkg", "--print-architecture"]).stdout.strip() if process.find("dpkg") else ""


def private_options(folder: Path) -> tuple[str, ...]:
    """Return apt's options for a private configuration in `folder`: sources, lists, cache and an empty dpkg state."""
    return (
        f"Dir::Etc::SourceList={folder}/private.sources",
        "Dir::Etc::SourceParts=/dev/null",
        "Dir::Etc::Preferences=/dev/null",
        "Dir::Etc::PreferencesParts=/dev/null",
        f"Dir::State={folder}/state",
        f"Dir::State::Lists={folder}/lists",
        f"Dir::State::status={folder}/status",
        f"Dir::Cache={folder}/cache",
        "APT::Sandbox::User=root",  # only this user may enter the folder; the user _apt could not
        "APT::Update::Error-Mode=any",
        "APT::Update::Post-Invoke-Success=",
        "Acquire::Languages=none",
    )


def _download(package: str, source: apt_sources.Source, folder: Path) -> Path:
    for part in ("state", "lists/partial", "cache/archives/partial"):
        file_modes.make_folder(folder / part)
    (folder / "status").write_bytes(b"")
    (folder / "private.sources").write_text(source.as_deb822(), encoding="utf-8")
    for command in (["update"], ["download", package]):
        done = _apt_get(command, options=private_options(folder), cwd=folder)
        if not done.ok:
            raise errors.EngineFailed(
                f"{package} could not be fetched from {source.suite} of {source.uri}",
                hint="Check the network and the proxy, then run the command again.",
                detail=_tail(done.output),
            )
    return next(folder.glob("*.deb"))


def _apt_get(arguments: Sequence[str], options: Sequence[str] = (), cwd: Path | None = None) -> process.Finished:
    """Run apt-get; where another apt holds a lock for which apt-get does not wait, retry until the deadline."""
    settings = [word for option in (*_OPTIONS, *options) for word in ("-o", option)]
    argv = as_root(["env", *_ENVIRONMENT, "apt-get", "-q", "-y", *settings, *arguments])
    deadline = time.monotonic() + LOCK_SECONDS
    while True:
        done = process.run(argv, timeout=1200, cwd=cwd)
        if done.ok or "Could not get lock" not in done.output or time.monotonic() > deadline:
            return done
        time.sleep(1)


def _are_lists_old() -> bool:
    """Return whether the lists are old: their own times are the archive's; apt's writes change the folders' times."""
    if not any(LISTS.glob("*_Packages*")):
        return True
    newest = max(path.stat().st_mtime for path in (LISTS, LISTS / "partial") if path.exists())
    return time.time() - newest > LISTS_MAX_AGE


def _complaints(done: process.Finished | None) -> str:
    lines = done.output.splitlines() if done else []
    return "\n".join(line for line in lines if line.startswith(("E:", "W:", "Err:")))


def _tail(text: str, lines: int = 12) -> str:
    return "\n".join(text.splitlines()[-lines:])
