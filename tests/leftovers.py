"""Remove what a test run left behind that was cut off, as by a restart of the machine, before it could clean up.

Docker starts such a cluster again with the engine, and its ports and names would stop each later run. A run's clusters
have folders in its pytest folder, which holds a `.lock` with the run's process id; its other containers and networks
have that id in their label. What belongs to a run that is alive, or to no test run, is never touched.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable
from pathlib import Path

from poolkeeper.system import compose, process

WORKING_DIRECTORY = "com.docker.compose.project.working_dir"  # Compose's own label
_RUN_LABEL = re.compile(r"test-(\d+)-[0-9a-f]+")


def label_of_run(pid: int, token: str) -> str:
    """Return the cluster label of containers that a test run starts without a cluster."""
    return f"test-{pid}-{token}"


def is_alive(pid: int) -> bool:
    """Return whether this process id is a pytest run now; after a restart another program may have it."""
    try:
        return b"pytest" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def run_folder(working_directory: Path, temporary: Path) -> Path | None:
    """Return the pytest folder (`pytest-of-USER/pytest-N`) that contains this folder, or None if there is none."""
    if not working_directory.is_relative_to(temporary):
        return None
    parts = working_directory.relative_to(temporary).parts
    if len(parts) < 2 or not parts[0].startswith("pytest-of-") or not re.fullmatch(r"pytest-\d+", parts[1]):
        return None
    return temporary / parts[0] / parts[1]


def is_leftover(cluster: str, working_directory: str, temporary: Path, alive: Callable[[int], bool] = is_alive) -> bool:
    """Return whether a cluster belongs to a test run that has ended; the folder is empty without Compose."""
    if named := _RUN_LABEL.fullmatch(cluster):
        return not alive(int(named[1]))
    folder = run_folder(Path(working_directory), temporary) if working_directory else None
    if folder is None:
        return False
    try:
        return not alive(int((folder / ".lock").read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return True  # pytest removes the file at the end of a run


def remove() -> list[str]:
    """Remove every container, network and volume of ended test runs; return the clusters' names."""
    line = f'{{{{.Label "{compose.CLUSTER}"}}}}\t{{{{.Label "{WORKING_DIRECTORY}"}}}}'
    shown = process.check(["docker", "ps", "-a", "--filter", f"label={compose.CLUSTER}", "--format", line])
    temporary = Path(tempfile.gettempdir())
    pairs = (found.split("\t") for found in shown.splitlines())
    clusters = sorted({name for name, folder in pairs if is_leftover(name, folder, temporary)})
    for cluster in clusters:
        compose.remove_all(cluster)
    return clusters
