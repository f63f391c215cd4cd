"""`keeper`: the agent itself, in the foreground."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from poolkeeper.core import errors
from poolkeeper.model.spec import KEEPER_PORT


def add_to(app: typer.Typer) -> None:
    """Register the group."""
    group = typer.Typer(help="The agent that keeps every view equal to Patroni's.", no_args_is_help=True)
    group.command()(run)
    app.add_typer(group, name="keeper")


def run(
    cluster_json: Annotated[Path, typer.Argument(help="The rendered declaration, as keeper's container mounts it.")],
    port: Annotated[int, typer.Option(help="Where its API listens, on every address of this machine.")] = KEEPER_PORT,
) -> None:
    """Keep the cluster until told to stop; `up` runs it in a container of its own, so nobody needs to do this by hand.

    It wants Pgpool-II's control password in POOLKEEPER_PCP_PASSWORD, that of the role of the checks in
    POOLKEEPER_CHECK_PASSWORD, the cluster's network, and the machine's processes
    (`pid: host` in its container). A second one beside it does no harm. Its journal is on the standard output.
    """
    from poolkeeper.keeper import __main__ as process

    for name, secret in process.PASSWORDS.items():
        if name not in os.environ:
            raise errors.UsageError(f"{name} is not set", hint=f"It is in the file secrets/{secret} of the cluster.")
    if not cluster_json.is_file():
        raise errors.UsageError(
            f"there is no file {cluster_json}", hint="`up` renders it: rendered/keeper/cluster.json."
        )
    process.main(cluster_json, port)
