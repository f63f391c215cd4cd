"""The base of all our images: one that exists here, one from a registry, or one bootstrapped from packages.

Invariant: an image gets its name only when it is complete; Ctrl-C at any time leaves neither a partial image nor files.
Not promised: that the bootstrapped image equals the registry's bit for bit. It has the same packages and rules:
no documentation, no translations, no services started by an installation, no package lists.
"""

from __future__ import annotations

import functools
import io
import os
import signal
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from poolkeeper.core import errors
from poolkeeper.system import apt, apt_sources, process

REPOSITORY = "poolkeeper-base"
PULL_SECONDS = 60.0
BOOTSTRAP_SECONDS = 900.0  # 20 s on two busy cores; a slow mirror may need minutes for its 45 MB
_KEYS_IN_IMAGE = "/usr/share/keyrings/"  # the folder of the distribution's own keyring package
# dpkg's own filter applies to later installations. mmdebstrap's filter (--dpkgopt) is written in Python, and costs 12 s
# more than unpacking all files and deleting some.
_DPKG_OPTIONS = """force-unsafe-io
path-exclude=/usr/share/doc/*
path-include=/usr/share/doc/*/copyright
path-exclude=/usr/share/man/*
path-exclude=/usr/share/info/*
path-exclude=/usr/share/lintian/*
path-exclude=/usr/share/locale/*
path-include=/usr/share/locale/locale.alias
"""
_TRIM = f"""cd "$1" && mkdir -p etc/dpkg/dpkg.cfg.d && cat >etc/dpkg/dpkg.cfg.d/poolkeeper <<'END'
{_DPKG_OPTIONS}END
rm -rf usr/share/man/* usr/share/info/* usr/share/lintian/*
find usr/share/doc ! -type d ! -name copyright -delete
find usr/share/locale -mindepth 1 ! -name locale.alias -delete
"""
_APT_OPTIONS = (
    'Acquire::Languages "none"',
    "Acquire::GzipIndexes true",
    'APT::AutoRemove::SuggestsImportant "false"',
)
_NO_SERVICES = b"#!/bin/sh\nexit 101\n"
_IMPORT_CHANGES = (
    "LABEL poolkeeper=base",
    "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    'CMD ["bash"]',
)


def base_image(name: str, suite: str, say: Callable[[str], None]) -> str:
    """Return the reference to build FROM for the image `name`, such as "debian:trixie-slim", with Debian's `suite`.

    Raises:
        ImageFailed: if no registry answers and a bootstrap is not possible here.
    """
    own = f"{REPOSITORY}:{suite}"
    for here in (name, own):
        if _is_here(here):
            return here
    say(f"pulling {name} …")
    if _pull(name):
        return name
    say(f"  no registry serves it; bootstrapping {own} from Debian's packages instead …")
    begin = time.monotonic()
    bootstrap(suite, own)
    say(f"  done in {time.monotonic() - begin:.1f} s")
    return own


def bootstrap(suite: str, reference: str) -> None:
    """Create the image `reference` with mmdebstrap, which is installed first where it is missing.

    Raises:
        ImageFailed: if mmdebstrap is missing and cannot be installed, or fails, or the engine refuses the image.
    """
    _need_mmdebstrap()
    with tempfile.TemporaryDirectory(prefix="poolkeeper-base-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o711)  # mmdebstrap without root enters it as another user
        tar = folder / "base.tar"
        _run_to_end(command(suite, tar, _sources(suite)), folder)
        _forbid_services(tar)
        changes = [word for change in _IMPORT_CHANGES for word in ("--change", change)]
        done = process.run(["docker", "import", *changes, str(tar), reference])
    if not done.ok:
        raise errors.ImageFailed(f"the engine could not import {reference}", detail=done.output)


def command(suite: str, tar: Path, sources: Sequence[apt_sources.Source]) -> list[str]:
    """Return mmdebstrap's argument list; without sources it uses its default mirror."""
    own_keys = sorted({source.key_file for source in sources} - {""})
    uploads = [f"--customize-hook=upload {key} {key}" for key in own_keys if not key.startswith(_KEYS_IN_IMAGE)]
    is_https = any(source.uri.startswith("https:") for source in sources)
    return [
        "mmdebstrap",
        "--quiet",
        "--variant=minbase",
        "--format=tar",
        *(["--include=ca-certificates"] if is_https else []),
        *(f"--aptopt={option}" for option in _APT_OPTIONS),
        f"--extract-hook={_TRIM}",
        *uploads,
        suite,
        str(tar),
        *(source.as_one_line() for source in sources),
    ]


def _forbid_services(tar: Path) -> None:
    """Add a policy-rc.d, as the registry's image has: an installation in a build must not start its service.

    mmdebstrap removes its own policy-rc.d.
    """
    entry = tarfile.TarInfo("./usr/sbin/policy-rc.d")
    entry.size, entry.mode, entry.mtime = len(_NO_SERVICES), 0o755, int(time.time())
    with tarfile.open(tar, "a") as archive:
        archive.addfile(entry, io.BytesIO(_NO_SERVICES))


def choose_sources(
    machine: Sequence[apt_sources.Source], codename: str, suite: str, architecture: str = ""
) -> tuple[apt_sources.Source, ...]:
    """Return the machine's own mirrors for `suite`, its updates and its security; empty without a source for it."""
    chosen = [
        found.with_suite(suite + kind)
        for kind in ("", "-updates", "-security")
        if (found := apt_sources.find(machine, codename + kind, architecture))
    ]
    return tuple(chosen) if chosen and chosen[0].suite == suite else ()


def _sources(suite: str) -> tuple[apt_sources.Source, ...]:
    distribution = apt.distribution()
    if distribution.id != "debian":
        return ()
    return choose_sources(apt_sources.read(), distribution.codename, suite, apt.architecture())


def _is_here(reference: str) -> bool:
    return process.run(["docker", "image", "inspect", "--format", "{{.Id}}", reference], timeout=30).ok


@functools.cache
def _pull(name: str) -> bool:
    """Pull the image, once in the life of this process; return whether that worked."""
    try:
        return process.run(["docker", "pull", "--quiet", name], timeout=PULL_SECONDS).ok
    except errors.EngineFailed:
        return False


def _need_mmdebstrap() -> None:
    if process.find("mmdebstrap"):
        return
    if not apt.is_usable():
        raise errors.ImageFailed(
            "the base image is missing, no registry serves it, and mmdebstrap is not installed to create it",
            hint="Either `docker pull` it from a registry that answers, or: sudo apt-get install mmdebstrap",
        )
    without_root = ("uidmap",) if os.geteuid() else ()
    foreign = ("debian-archive-keyring", "gpg") if apt.distribution().id != "debian" else ()
    apt.install(("mmdebstrap", *without_root, *foreign))


def _run_to_end(argv: Sequence[str], folder: Path) -> None:
    """Run mmdebstrap in its own process group, so that an interruption ends all of it before the folder is deleted."""
    log = folder / "log"
    with log.open("wb") as out:
        child = subprocess.Popen(
            list(argv),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
            umask=0o022,  # of the files in the image
            env={**os.environ, "TMPDIR": str(folder), "LC_ALL": "C.UTF-8"},
        )
        try:
            code = child.wait(timeout=BOOTSTRAP_SECONDS)
        except subprocess.TimeoutExpired as e:
            raise errors.ImageFailed(f"mmdebstrap did not end within {BOOTSTRAP_SECONDS:.0f} s") from e
        finally:
            _end_group(child)
    if code != 0:
        raise errors.ImageFailed(
            f"mmdebstrap could not create the base image (it ended with {code})",
            hint="Does the mirror answer? Check the sources in /etc/apt, the network and the proxy.",
            detail="\n".join(log.read_text(errors="replace", encoding="utf-8").splitlines()[-12:]),
        )


def _end_group(child: subprocess.Popen[bytes]) -> None:
    """Interrupt the child, so that it removes its own mounts; kill it where it does not end."""
    for number in (signal.SIGINT, signal.SIGKILL):
        if child.poll() is not None:
            return
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, number)
        with suppress(subprocess.TimeoutExpired):
            child.wait(timeout=10)
