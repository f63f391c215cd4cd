"""The one handle of a cluster: its declaration, its state folder, and the address of each part."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from poolkeeper.core import errors
from poolkeeper.model.dsn import Dsn
from poolkeeper.model.spec import ClusterSpec
from poolkeeper.render import client_files
from poolkeeper.system import compose, images, state


@dataclass(frozen=True)
class Cluster:
    """A declared cluster, on which every command and operation works.

    `folder` is the state folder beside `cluster.toml`; `image_sources` holds one folder a role; `secrets` are the
    generated passwords by name, None until `with_passwords` has read them.
    """

    spec: ClusterSpec
    folder: state.State = field(default_factory=lambda: state.State(Path(".poolkeeper")))
    image_sources: Path = images.SOURCES
    secrets: Mapping[str, str] | None = field(default=None, repr=False)

    def with_passwords(self) -> Cluster:
        """Return the same cluster with the passwords as they are now.

        Raises:
            ClusterNotUp: if no passwords were generated yet.
        """
        return replace(self, secrets=state.read_secrets(self.folder))

    @property
    def passwords(self) -> Mapping[str, str]:
        """The generated passwords by name.

        Raises:
            ClusterNotUp: if no passwords were generated yet.
        """
        return state.read_secrets(self.folder) if self.secrets is None else self.secrets

    @property
    def project(self) -> compose.Project:
        """The cluster's Compose project."""
        return compose.Project(self.spec.project, self.spec.name, self.folder.compose_file)

    @property
    def query_limit(self) -> float:
        """The time limit of one query, in seconds."""
        return self.spec.timeouts.query

    def container(self, service: str) -> str:
        """Return a declared service's container. Raises UsageError for a name that is not a service."""
        if service not in self.spec.addresses():
            known = ", ".join(self.spec.addresses())
            raise errors.UsageError(f"{service!r} is not a service of this cluster", hint=f"Its services: {known}.")
        return self.spec.container_name(service)

    def address(self, service: str) -> str:
        """Return a service's address in the cluster's network."""
        return str(self.spec.addresses()[service])

    @property
    def endpoint_containers(self) -> dict[str, str]:
        """The container of each Pgpool-II by its service."""
        return {service: self.container(service) for service in self.spec.endpoint_by_service()}

    @property
    def pool_container(self) -> str:
        """The balanced endpoint's Pgpool-II: the container in which passwords are encrypted."""
        return self.container(self.spec.endpoints.balanced.service)

    def node(self, name: str, role: str = "check", dbname: str = "postgres") -> Dsn:
        """Return the connection to a node's published port; `role` is a key of [roles]."""
        port = next(node.port for node in self.spec.nodes if node.name == name)
        return self._dsn(port, role, dbname)

    def endpoint(self, key: str, role: str = "check", dbname: str = "postgres") -> Dsn:
        """Return the connection to an endpoint's published port; `role` is a key of [roles]."""
        return self._dsn(getattr(self.spec.endpoints, key).port, role, dbname)

    def endpoint_as(self, key: str, user: str, password: str, dbname: str) -> Dsn:
        """Return the connection to an endpoint's published port, for any database user."""
        port = getattr(self.spec.endpoints, key).port
        return Dsn(client_files.client_host(self.spec), port, user, dbname, password)

    def _dsn(self, port: int, role: str, dbname: str) -> Dsn:
        user = getattr(self.spec.roles, role)
        return Dsn(client_files.client_host(self.spec), port, user, dbname, self.passwords[role])

    @property
    def stats(self) -> tuple[str, tuple[str, str]]:
        """HAProxy's dashboard: its URL, and its user and password."""
        url = f"http://{client_files.client_host(self.spec)}:{self.spec.haproxy.stats_port}"
        return url, (self.spec.haproxy.stats_user, self.passwords["stats"])

    @property
    def rest_auth(self) -> tuple[str, str]:
        """User and password of Patroni's REST API."""
        return self.spec.roles.rest, self.passwords["rest"]


def write_pgpass(cluster: Cluster) -> None:
    """Write libpq's password file from the current passwords.

    Raises:
        ClusterNotUp: if no passwords were generated yet.
    """
    passwords = state.read_secrets(cluster.folder)
    roles = {getattr(cluster.spec.roles, key): passwords[key] for key in ("superuser", "app", "check")}
    state.write(cluster.folder.pgpass, client_files.password_file(cluster.spec, roles))
