"""Build the images, each only when its inputs changed.

Invariant: the tag is a digest of the inputs. They are the role's folder, the base's name and the build arguments, and
for the keeper the package `poolkeeper` without its `images/`. So an image that exists under its tag is current, and an
interrupted build leaves no tag. No file of another package, and no file of another role's folder, changes a tag.
Neither the tag nor the image depends on the umask of the checkout: of the modes, only the owner's right to execute
counts, and the build contexts have modes that every user inside the container can use.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import poolkeeper
from poolkeeper.core import errors, file_modes
from poolkeeper.model.spec import ClusterSpec
from poolkeeper.system import process, state

ROLES = ("postgres", "etcd", "pgpool", "haproxy", "keeper")
PACKAGE = Path(poolkeeper.__file__).parent
SOURCES = PACKAGE / "images"  # one folder per role
_NOTE = re.compile(r"^(?:#\d+ [\d.]+ )?poolkeeper: (.+)$", re.MULTILINE)  # a line for the operator; BuildKit numbers it


def references(spec: ClusterSpec, folder: Path, package: Path = PACKAGE) -> dict[str, str]:
    """Return each role's image reference.

    `folder` has one folder per role; `package` is the package that the keeper's image contains.

    Raises:
        ImageFailed: if a role's Dockerfile is missing.
    """
    return {role: f"{spec.images.prefix}/{role}:{_digest(spec, folder / role, package)}" for role in ROLES}


def _digest(spec: ClusterSpec, folder: Path, package: Path) -> str:
    if not (folder / "Dockerfile").is_file():
        raise errors.ImageFailed(
            f"{folder}/Dockerfile is missing", hint="This installation of Poolkeeper is incomplete; install it again."
        )
    inputs = hashlib.sha256(f"{spec.images.base} {spec.images.suite} {_arguments(spec, folder.name)}".encode())
    for root in (folder, package) if folder.name == "keeper" else (folder,):
        for path in _inputs(root, without=package / "images" if root == package else None):
            executable = 0o111 if file_modes.is_program(path) else 0
            inputs.update(f"{path.relative_to(root)} {executable}\n".encode() + path.read_bytes())
    return inputs.hexdigest()[:12]


def _inputs(root: Path, without: Path | None = None) -> list[Path]:
    """Return the files below a folder that an image depends on, in order, without those in the folder `without`."""
    found = (path for path in root.rglob("*") if path.is_file() and path.suffix != ".pyc")
    return sorted(path for path in found if without is None or without not in path.parents)


@contextlib.contextmanager
def build_context(folder: Path) -> Iterator[Path]:
    """Yield the build context: a copy of the role's folder; the keeper's context also contains this package.

    Docker's COPY keeps modes, so the copy has those that the users inside the container need.
    """
    with tempfile.TemporaryDirectory(prefix="poolkeeper-build-") as name:
        context = Path(name) / "context"
        file_modes.copy_tree(folder, context)
        if folder.name == "keeper":
            file_modes.copy_tree(PACKAGE, context / "poolkeeper", "__pycache__", "images")
        yield context


def missing(wanted: Mapping[str, str]) -> dict[str, str]:
    """Return the references that the engine does not have."""
    listed = process.check(["docker", "image", "ls", "--format", "{{.Repository}}:{{.Tag}}"])
    return {role: reference for role, reference in wanted.items() if reference not in listed.split()}


def build(
    spec: ClusterSpec,
    wanted: Mapping[str, str],
    base: str,
    folder: Path,
    logs: state.State,
    say: Callable[[str], None],
) -> None:
    """Build these images in parallel.

    Raises:
        ImageFailed: with the last lines of the first build that failed.
    """
    with ThreadPoolExecutor(max_workers=len(wanted) or 1) as pool:
        for job in [pool.submit(_build_one, spec, role, wanted[role], base, folder, logs, say) for role in wanted]:
            job.result()


def _build_one(
    spec: ClusterSpec, role: str, reference: str, base: str, folder: Path, logs: state.State, say: Callable[[str], None]
) -> None:
    arguments = {"BASE": base, **_arguments(spec, role)}
    flags = [word for key, value in arguments.items() for word in ("--build-arg", f"{key}={value}")]
    with build_context(folder / role) as context:
        argv = ["docker", "build", "--label", f"poolkeeper.image={role}", *flags, "-t", reference, str(context)]
        done = process.run(argv, timeout=1200)
    log = logs.root / f"build-{role}.log"
    state.write(log, done.output + "\n", mode=file_modes.SHARED_FILE)
    if not done.ok:
        tail = "\n".join(done.output.splitlines()[-15:])
        raise errors.ImageFailed(f"the image {reference} could not be built; its log is {log}", detail=tail)
    say(f"built {reference}")
    for note in _NOTE.findall(done.output):
        say(f"  {note}")


def _arguments(spec: ClusterSpec, role: str) -> dict[str, str]:
    """Return the build arguments of a role's Dockerfile, without its base."""
    if role == "postgres":
        return {"PG_MAJOR": str(spec.postgresql.version)}
    if role == "pgpool":
        return {"BASE_SUITE": spec.images.suite, "PGPOOL_SUITE": spec.images.pgpool_suite}
    return {}


def remove_superseded(wanted: Mapping[str, str], prefix: str) -> None:
    """Remove our older images; the engine keeps those that a container uses."""
    listed = process.check(
        ["docker", "image", "ls", "--filter", "label=poolkeeper.image", "--format", "{{.Repository}}:{{.Tag}}"]
    )
    ours = [name for name in listed.split() if name.startswith(f"{prefix}/") and not name.endswith(":<none>")]
    for name in set(ours) - set(wanted.values()):
        process.run(["docker", "image", "rm", name])


def encrypt_passwords(image: str, folder: state.State, users: Mapping[str, str]) -> str:
    """Return the entries of pool_passwd for these passwords by user.

    Pgpool-II's own tool encrypts them with AES and the cluster's key.
    """
    mount = f"{folder.pool_key.parent.resolve()}:/run/pool:ro"
    lines = "".join(f"{user}:{password}\n" for user, password in users.items())
    argv = [
        "docker",
        "run",
        "--rm",
        "-i",
        "--network",
        "none",
        "-v",
        mount,
        "--entrypoint",
        "encrypt_password.sh",
        image,
    ]
    return process.check(argv, stdin=lines, timeout=60, what="pg_enc")
