"""Database users as their witnesses tell them, and as `poolkeeper user list` shows them."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class DatabaseRole:
    """A role of PostgreSQL. Its verifier is not in the text form."""

    name: str
    oid: int
    can_login: bool
    is_superuser: bool
    verifier: str | None = field(repr=False)
    databases: tuple[str, ...] = ()  # that it owns


@dataclass(frozen=True)
class UserRow:
    """A user by all witnesses. None means that the witness did not answer."""

    name: str
    can_login: bool | None
    in_pool_passwd: bool | None
    is_superuser: bool | None
    databases: tuple[str, ...]
    drift: tuple[str, ...] = ()  # where the witnesses disagree
    undecided: tuple[str, ...] = ()  # what could not be compared, and why

    @property
    def has_drift(self) -> bool:
        """Do the witnesses disagree?"""
        return bool(self.drift)
