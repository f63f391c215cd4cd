"""Which cluster a command is about: `cluster.toml`, the folder beside it, and the sources of the images."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from poolkeeper.core import errors

if TYPE_CHECKING:
    import typer

    from poolkeeper.cluster.handle import Cluster


@dataclass(frozen=True)
class ClusterFile:
    """The file named on the command line; read when a command first needs it."""

    file: Path

    @cached_property
    def cluster(self) -> Cluster:
        """The declared cluster and where its things are. Raises SpecError."""
        from poolkeeper.cluster.handle import Cluster
        from poolkeeper.model import source
        from poolkeeper.system import state

        try:
            text = self.file.read_text()
        except FileNotFoundError as e:
            raise errors.SpecError(str(self.file), (errors.Mistake("file", None, "does not exist"),)) from e
        except (OSError, UnicodeDecodeError) as e:
            raise errors.SpecError(str(self.file), (errors.Mistake("file", None, f"cannot be read: {e}"),)) from e
        spec = source.load(text, str(self.file))
        return Cluster(spec, state.State(self.file.resolve().parent / ".poolkeeper"))


def of(ctx: typer.Context) -> Cluster:
    """The cluster that this command is about."""
    chosen: ClusterFile = ctx.obj
    return chosen.cluster


def path_of(ctx: typer.Context) -> Path:
    """The file of that cluster, as it was named."""
    chosen: ClusterFile = ctx.obj
    return chosen.file
