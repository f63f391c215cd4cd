"""`up`, `stop`, `down`, `render` and `engine`: what changes a cluster or its files."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from poolkeeper.cli import console, context
from poolkeeper.cluster.handle import Cluster
from poolkeeper.core import errors
from poolkeeper.model.spec import ClusterSpec
from poolkeeper.render import client_files
from poolkeeper.system import compose, process, state


def add_to(app: typer.Typer) -> None:
    """Register these commands."""
    app.command()(up)
    app.command()(stop)
    app.command()(down)
    app.command("render")(render_files)
    app.command("engine")(ensure_engine)


def up(ctx: typer.Context) -> None:
    """Make the declared cluster run, and wait until every witness says green.

    Idempotent: on a healthy cluster it changes nothing; after an edit of cluster.toml it does the least that applies
    it; after an interruption or a crash it goes on from there.
    """
    from poolkeeper.operations import up as bringup

    begin = time.monotonic()
    where = context.of(ctx)
    outcome = bringup.up(where, console.ConsoleSteps())
    for repair in outcome.repairs:
        console.err.print(f"mended: {repair}", markup=False)
    seconds = time.monotonic() - begin
    if outcome.changed_nothing:
        console.err.print(f"already up and healthy; nothing was changed ({seconds:.1f} s)")
    else:
        console.err.print(f"up and healthy in {seconds:.1f} s; primary: {outcome.assessment.primary}")
    console.out.print(how_to_connect(where), markup=False)


def how_to_connect(where: Cluster) -> str:
    """Ready-to-paste commands."""
    spec, host = where.spec, client_files.client_host(where.spec)
    folder = _shown(where.folder.root)
    login = f"PGPASSFILE={folder}/pgpass psql -h {host}"
    su, app, db = spec.roles.superuser, spec.roles.app, spec.roles.app_database
    services = f"PGSERVICEFILE={folder}/pg_service.conf PGPASSFILE={folder}/pgpass psql service=rw"
    lines = [
        "connect:",
        f"  read-write   {login} -p {spec.endpoints.rw.port} -U {app} {db}",
        f"  read-only    {login} -p {spec.endpoints.ro.port} -U {app} {db}",
        f"  balanced     {login} -p {spec.endpoints.balanced.port} -U {su}",
        *(f"  {key:<12} {login} -p {endpoint.port} -U {app} {db}" for key, endpoint in spec.direct_endpoints().items()),
        f"  by service   {services}",
        f"  dashboard    http://{host}:{spec.haproxy.stats_port}/  user {spec.haproxy.stats_user}, "
        f"password in {folder}/secrets/stats",
    ]
    if process.find("psql") is None:
        lines.append("  psql is not installed here; Debian and Ubuntu have it as postgresql-client")
    return "\n".join(lines)


def _shown(path: Path) -> str:
    """A path as short as it can be pasted from here."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def stop(ctx: typer.Context) -> None:
    """Stop every container; the data stays, and `up` brings it back."""
    where, steps = context.of(ctx), console.ConsoleSteps()
    with state.lock(where.folder):
        if not compose.containers(where.spec.name):
            console.err.print("there is nothing to stop")
            return
        with steps.step("stopping every container; the data stays"):
            compose.stop_all(where.spec.name, _stop_order(where.spec), where.spec.timeouts.stop)


def _stop_order(spec: ClusterSpec) -> list[list[str]]:
    """The endpoint and the endpoints, then the nodes, then their store: nobody loses what it depends on."""
    endpoints = [spec.haproxy.service, *spec.endpoint_by_service()]
    return [endpoints, [node.name for node in spec.nodes], [member.name for member in spec.etcd.members]]


def down(
    ctx: typer.Context,
    purge: Annotated[bool, typer.Option("--purge", help="Remove .poolkeeper/ too: passwords and rendered files.")] = (
        False
    ),
) -> None:
    """Remove the cluster: its containers, its network AND ITS DATA (volumes). Nothing that is not ours.

    The passwords in .poolkeeper/ stay, so that a new cluster accepts the same ones; --purge removes them too. Images
    stay; `docker image rm` takes them away.
    """
    from poolkeeper.system import docker_engine

    where, steps = context.of(ctx), console.ConsoleSteps()
    with state.lock(where.folder):
        if not docker_engine.probe().answers:
            raise errors.EngineMissing(
                "no container engine answers, so nothing can be removed",
                hint="Start it (poolkeeper engine), then run this again.",
            )
        former = state.read_former(where.folder)  # the name may have been edited since
        for name in sorted({where.spec.name, former.name if former else where.spec.name}):
            with steps.step(f"removing containers, network and volumes of {name}"):
                gone = compose.remove_all(name)
            console.err.print(f"removed {gone.containers} containers, {gone.networks} network, {gone.volumes} volumes")
        state.forget_cluster(where.folder)
        if purge:
            state.purge(where.folder)


def render_files(
    ctx: typer.Context,
    directory: Annotated[Path, typer.Argument(metavar="[DIR]", help="Where to write; made if missing.")] = Path(
        "rendered"
    ),
) -> None:
    """Write the Compose file and every configuration file, for anyone to read. No password is in them."""
    from poolkeeper.render.files import render
    from poolkeeper.system import images

    where = context.of(ctx)
    files = render(where.spec, images.references(where.spec, where.image_sources))
    for path, text in files.items():
        state.write(directory / path, text, mode=0o644)
    console.err.print(f"wrote {len(files)} files to {directory}")


def ensure_engine(ctx: typer.Context) -> None:
    """Make a container engine with Compose v2 answer: use the one that is there, else install and start it."""
    from poolkeeper.operations import engine as setup_engine

    log = context.of(ctx).folder.engine_log
    log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    info = setup_engine.ensure(console.ConsoleSteps().note, log)
    console.err.print(f"Docker Engine {info.engine_version}, Compose {info.compose_version}")
