"""Database users as PostgreSQL and Pgpool-II report them, and as `poolkeeper user list` shows them."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class DatabaseRole:
    """A role of PostgreSQL. The text form omits its verifier."""

    name: str
    oid: int
    can_login: bool
    is_superuser: bool
    verifier: str | None = field(repr=False)
    databases: tuple[str, ...] = ()  # that it owns


@dataclass(frozen=True)
class UserRow:
    """A user as all components report it. None: the component did not answer."""

    name: str
    can_login: bool | None
    in_pool_passwd: bool | None
    is_superuser: bool | None
    databases: tuple[str, ...]
    drift: tuple[str, ...] = ()  # the disagreements of the components
    undecided: tuple[str, ...] = ()  # the comparisons that were not possible, with the reason

    @property
    def has_drift(self) -> bool:
        """Whether the components disagree."""
        return bool(self.drift)
