"""The cluster that a command works on: `cluster.toml`, and the state folder beside it."""

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
    """The file named on the command line; read when a command first needs it: `--help` and `init` do not."""

    file: Path

    @cached_property
    def cluster(self) -> Cluster:
        """The declared cluster.

        Raises:
            SpecError: the file cannot be read, or has mistakes.
        """
        from poolkeeper.cluster.handle import Cluster
        from poolkeeper.model import source
        from poolkeeper.system import state

        try:
            text = self.file.read_text(encoding="utf-8")
        except FileNotFoundError as e:
            raise errors.SpecError(str(self.file), (errors.Mistake("file", None, "does not exist"),)) from e
        except (OSError, UnicodeDecodeError) as e:
            raise errors.SpecError(str(self.file), (errors.Mistake("file", None, f"cannot be read: {e}"),)) from e
        spec = source.load(text, str(self.file))
        return Cluster(spec, state.State(self.file.resolve().parent / ".poolkeeper"))


def of(ctx: typer.Context) -> Cluster:
    """Return the cluster that this command works on.

    Raises:
        SpecError: its file cannot be read, or has mistakes.
    """
    named: ClusterFile = ctx.obj
    return named.cluster


def path_of(ctx: typer.Context) -> Path:
    """Return that cluster's file, as it was named on the command line."""
    named: ClusterFile = ctx.obj
    return named.file
