"""The one image of all peers: the distribution's packages, on the base of our own images.

Invariant: its tag is a digest of its sources, so an existing image is current.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from poolkeeper.cluster.handle import Cluster
from poolkeeper.core import errors, file_modes
from poolkeeper.core.progress import Progress
from poolkeeper.system import base_image, process, state

NAME = "poolkeeper-bench/peers"
LABEL = "poolkeeper.image=bench-peers"
BUILD_SECONDS = 1200
SOURCES = Path(__file__).parent / "stacks"


def folder() -> Path:
    """Return the folder of the peers' files.

    Raises:
        ImageFailed: if the folder is missing, for example in an incomplete checkout.
    """
    found = SOURCES
    if not (found / "image" / "Dockerfile").is_file():
        raise errors.ImageFailed(f"{found} is missing", hint="Use a complete checkout of Poolkeeper.")
    return found


def copy(scratch: Path) -> Path:
    """Copy the peers' files into this run's folder, so that the containers' users can read them; return the copy.

    Raises:
        ImageFailed: if the files are missing.
    """
    file_modes.copy_tree(folder(), scratch / "stacks")
    return scratch / "stacks"


def reference(cluster: Cluster) -> str:
    """Return the image's name and tag."""
    spec = cluster.spec
    inputs = hashlib.sha256(f"{spec.images.base} {spec.images.suite} {spec.postgresql.version}".encode())
    inputs.update((folder() / "image" / "Dockerfile").read_bytes())
    return f"{NAME}:{inputs.hexdigest()[:12]}"


def ensure(cluster: Cluster, progress: Progress) -> str:
    """Build the image unless it exists, and return its reference.

    Raises:
        ImageFailed: with the last lines of the build.
    """
    wanted, spec = reference(cluster), cluster.spec
    if process.run(["docker", "image", "inspect", wanted], timeout=30).ok:
        return wanted
    with progress.step("building the image of the peers"):
        base = base_image.base_image(spec.images.base, spec.images.suite, progress.note)
        done = process.run(build(wanted, base, spec.postgresql.version, folder()), timeout=BUILD_SECONDS)
        log = cluster.folder.root / "build-peers.log"
        state.write(log, done.output + "\n", mode=file_modes.SHARED_FILE)
        if not done.ok:
            tail = "\n".join(done.output.splitlines()[-15:])
            raise errors.ImageFailed(f"the image {wanted} could not be built; its log is {log}", detail=tail)
    _remove_others(wanted)
    return wanted


def build(wanted: str, base: str, major: int, sources: Path) -> list[str]:
    """Return the command line of the build."""
    arguments = ["--build-arg", f"BASE={base}", "--build-arg", f"PG_MAJOR={major}"]
    return ["docker", "build", "--label", LABEL, *arguments, "-t", wanted, str(sources / "image")]


def _remove_others(wanted: str) -> None:
    listed = process.check(
        ["docker", "image", "ls", "--filter", f"label={LABEL}", "--format", "{{.Repository}}:{{.Tag}}", NAME]
    )
    for name in set(listed.split()) - {wanted}:
        process.run(["docker", "image", "rm", name])  # the engine keeps an image that a container uses


def versions(image: str, packages: Sequence[str]) -> dict[str, str]:
    """Map each package to its version in the image, from dpkg.

    Raises:
        EngineFailed: if the query fails.
    """
    names = sorted(set(packages))
    query = ["dpkg-query", "-W", "-f", "${Package} ${Version}\\n", *names]
    printed = process.check(["docker", "run", "--rm", "--network", "none", "--label", LABEL, image, *query], timeout=60)
    return dict(line.split(" ", 1) for line in printed.splitlines() if " " in line)
