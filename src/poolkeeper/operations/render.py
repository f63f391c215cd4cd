"""`render`: write the Compose file and every configuration file, without starting anything.

Invariant: no password is in these files.
"""

from __future__ import annotations

from pathlib import Path

from poolkeeper.cluster.handle import Cluster
from poolkeeper.render import files
from poolkeeper.system import images, state


def render(cluster: Cluster, directory: Path) -> int:
    """Write the files below a directory, which is created if it is missing; return how many.

    Raises:
        PermissionRefused: a file cannot be written.
        DiskFull: no space is left.
    """
    rendered = files.render(cluster.spec, images.references(cluster.spec, cluster.image_sources))
    for path, text in rendered.items():
        state.write(directory / path, text, mode=0o644)
    return len(rendered)
