"""Where a cluster's things are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from poolkeeper import errors, observe
from poolkeeper.model.spec import ClusterSpec
from poolkeeper.render import psql
from poolkeeper.system import compose, state


@dataclass(frozen=True)
class Place:
    """Where things are: the declared cluster, its state folder, and the sources of the images."""

    spec: ClusterSpec
    folder: state.State
    image_sources: Path

    @property
    def project(self) -> compose.Project:
        """The cluster's Compose project."""
        return compose.Project(self.spec.project, self.spec.name, self.folder.compose_file)

    def access(self) -> observe.Access:
        """The cluster's doors and passwords. Raises ClusterNotUp where none were made yet."""
        return observe.Access(self.spec, state.read_secrets(self.folder))

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
    state.write(place.folder.pgpass, psql.password_file(place.spec, roles))
