"""Keep evidence of a run that did not pass: the containers' logs, the rendered files, and the command to repeat it.

Invariant: only the owner can read it (mode 700), because rendered files may contain more than a report should. Earlier
evidence is never overwritten. Not promised: logs of containers that were removed meanwhile.
"""

from __future__ import annotations

from pathlib import Path

from poolkeeper.cluster.handle import Cluster
from poolkeeper.core import file_modes
from poolkeeper.operations import logs
from poolkeeper.system import state


def keep(cluster: Cluster, since: str, replay: str, folder: Path) -> Path:
    """Write the evidence into a new `folder` and return its path. `since` is ISO 8601.

    Raises:
        EngineFailed: if a log cannot be read.
        FileExistsError: if the folder exists.
        PermissionRefused: if a file cannot be written.
    """
    if folder.exists():
        raise FileExistsError(folder)
    file_modes.make_folder(folder, file_modes.PRIVATE_FOLDER)
    for name in cluster.spec.addresses():
        lines = logs.merged({name: cluster.container(name)}, since=since)
        state.write(folder / "logs" / f"{name}.log", "".join(f"{line.at} {line.text}\n" for line in lines))
    rendered = state.read_tree(cluster.folder.rendered)
    state.write_tree(folder / "rendered", rendered)
    state.write(folder / "again.txt", f"{replay}\n")
    return folder
