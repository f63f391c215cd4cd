"""What is kept of a run that did not pass: the containers' logs of its time, the rendered files, and how to repeat it.

Invariant: for the owner's eyes only (mode 700), since rendered files may tell more than a report should; nothing that
was kept before is overwritten. Not promised: logs of containers that were removed meanwhile.
"""

from __future__ import annotations

from pathlib import Path

from poolkeeper.cluster.handle import Cluster
from poolkeeper.operations import logs
from poolkeeper.system import state


def keep(cluster: Cluster, since: str, replay: str, folder: Path) -> Path:
    """Put all of it into a new `folder`; its path. `since` is ISO 8601. Raises EngineFailed, PermissionRefused."""
    folder.mkdir(mode=0o700, parents=True)
    for name in cluster.spec.addresses():
        lines = logs.merged({name: cluster.container(name)}, since=since)
        state.write(folder / "logs" / f"{name}.log", "".join(f"{line.at} {line.text}\n" for line in lines))
    rendered = state.read_tree(cluster.folder.rendered)
    state.write_tree(folder / "rendered", rendered)
    state.write(folder / "again.txt", f"{replay}\n")
    return folder
