"""The lines that connect to each endpoint, ready to paste into a shell."""

from __future__ import annotations

import shlex
from pathlib import Path

from poolkeeper.cluster.handle import Cluster
from poolkeeper.render import client_files
from poolkeeper.system import process


def of_cluster(cluster: Cluster) -> str:
    """Return the psql commands for each endpoint, and the address of the dashboard."""
    spec, host = cluster.spec, client_files.client_host(cluster.spec)
    folder = _short(cluster.folder.root)
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


def of_user(cluster: Cluster, name: str, database: str) -> str:
    """Return a psql command and a line of ~/.pgpass for a database user.

    Poolkeeper does not keep an added user's password, so the reader completes the second line.
    """
    host, port = client_files.client_host(cluster.spec), cluster.spec.endpoints.rw.port
    return f"connect: psql -h {host} -p {port} -U {shlex.quote(name)} {database}\n~/.pgpass: {host}:*:*:{name}:PASSWORD"


def _short(path: Path) -> str:
    """Return the shortest form of a path that can be pasted from the current folder."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
