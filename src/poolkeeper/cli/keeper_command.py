"""`keeper`: run the agent itself, in the foreground."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from poolkeeper.core import errors
from poolkeeper.model.spec import KEEPER_PORT


def add_to(app: typer.Typer) -> None:
    """Register this group."""
    group = typer.Typer(help="The agent that reconciles HAProxy and Pgpool-II with Patroni.", no_args_is_help=True)
    group.command()(run)
    app.add_typer(group, name="keeper")


def run(
    cluster_json: Annotated[Path, typer.Argument(help="The rendered declaration that keeper's container mounts.")],
    port: Annotated[int, typer.Option(help="The port of its API, on every address of this machine.")] = KEEPER_PORT,
) -> None:
    """Run the agent until it is interrupted.

    `up` runs it in its own container, so you rarely need this command. It needs two passwords: Pgpool-II's control
    password in POOLKEEPER_PCP_PASSWORD, and that of the role of the checks in POOLKEEPER_CHECK_PASSWORD. It also needs
    the cluster's network and the machine's processes (`pid: host` in its container). A second agent beside it does no
    harm. It writes its journal to standard output.
    """
    from poolkeeper.keeper import __main__ as agent_main

    _require(agent_main.PASSWORDS, cluster_json)
    agent_main.main(cluster_json, port)


def _require(passwords: Mapping[str, str], cluster_json: Path) -> None:
    """Pass if every password is in the environment and the file exists, so that the agent can start."""
    for name, secret in passwords.items():
        if name not in os.environ:
            raise errors.UsageError(f"{name} is not set", hint=f"The file secrets/{secret} of the cluster has it.")
    if not cluster_json.is_file():
        raise errors.UsageError(f"{cluster_json} does not exist", hint="`up` renders it: rendered/keeper/cluster.json.")
