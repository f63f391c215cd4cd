"""The parameters of a connection to a server with PostgreSQL's protocol.

Invariant: the text form of a `Dsn` never holds its password.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Dsn:
    """The parameters of a connection. The text form omits the password."""

    host: str
    port: int
    user: str
    dbname: str
    password: str = field(default="", repr=False)
    options: tuple[tuple[str, str], ...] = ()  # further libpq parameters, such as sslmode
    is_foreign: bool = False  # the operator's own string: libpq may read the operator's certificates and passwords

    @property
    def label(self) -> str:
        """`user@host:port/dbname`, for evidence and messages."""
        return f"{self.user}@{self.host}:{self.port}/{self.dbname}"

    @property
    def where(self) -> str:
        """`host:port`."""
        return f"{self.host}:{self.port}"
