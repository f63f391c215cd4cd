"""Where a cluster's things are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from poolkeeper.core import errors
from poolkeeper.model.dsn import Dsn
from poolkeeper.model.spec import ClusterSpec
from poolkeeper.render import client_files
from poolkeeper.system import compose, images, state


@dataclass(frozen=True)
class Access:
    """A spec and the passwords to ask its cluster with."""

    spec: ClusterSpec
    passwords: Mapping[str, str]

    def node(self, name: str, role: str = "check", dbname: str = "postgres") -> Dsn:
        """A node's published port; `role` is a key of [roles]."""
        port = next(node.port for node in self.spec.nodes if node.name == name)
        return self._dsn(port, role, dbname)

    def endpoint(self, key: str, role: str = "check", dbname: str = "postgres") -> Dsn:
        """An endpoint's published port; `role` is a key of [roles]."""
        return self._dsn(getattr(self.spec.endpoints, key).port, role, dbname)

    def _dsn(self, port: int, role: str, dbname: str) -> Dsn:
        user = getattr(self.spec.roles, role)
        return Dsn(client_files.client_host(self.spec), port, user, dbname, self.passwords[role])

    @property
    def stats(self) -> tuple[str, tuple[str, str]]:
        """HAProxy's dashboard: its URL, and user and password."""
        url = f"http://{client_files.client_host(self.spec)}:{self.spec.haproxy.stats_port}"
        return url, (self.spec.haproxy.stats_user, self.passwords["stats"])

    @property
    def rest_auth(self) -> tuple[str, str]:
        """User and password of Patroni's REST API."""
        return self.spec.roles.rest, self.passwords["rest"]


@dataclass(frozen=True)
class Place:
    """Where things are: the declared cluster, its state folder, and the sources of the images."""

    spec: ClusterSpec
    folder: state.State
    image_sources: Path = images.SOURCES

    @property
    def project(self) -> compose.Project:
        """The cluster's Compose project."""
        return compose.Project(self.spec.project, self.spec.name, self.folder.compose_file)

    def access(self) -> Access:
        """The cluster's endpoints and passwords. Raises ClusterNotUp where none were made yet."""
        return Access(self.spec, state.read_secrets(self.folder))

    def container_of(self, service: str) -> str:
        """A declared service's container. Raises UserError for a name that is not a service."""
        if service not in self.spec.addresses():
            known = ", ".join(self.spec.addresses())
            raise errors.UserError(f"{service!r} is not a service of this cluster", hint=f"Its services: {known}.")
        return self.spec.container_name(service)


def write_pgpass(place: Place) -> None:
    """Write libpq's password file from the passwords as they are. Raises ClusterNotUp where there are none yet."""
    passwords = state.read_secrets(place.folder)
    roles = {getattr(place.spec.roles, key): passwords[key] for key in ("superuser", "app", "check")}
    state.write(place.folder.pgpass, client_files.password_file(place.spec, roles))
