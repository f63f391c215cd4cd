"""The users and passwords that are allowed, and where PostgreSQL and Pgpool-II's user list disagree.

Pgpool-II authenticates a client with the password of its own list, and then logs in to PostgreSQL with the same one. A
user can therefore log in only where both have it. A source that did not answer leaves a user undecided, never without
drift.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import stringprep
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from poolkeeper.model import grammar, pool_passwd
from poolkeeper.model.database_users import DatabaseRole, UserRow
from poolkeeper.model.observed import Seen
from poolkeeper.model.spec import Roles

MAX_NAME_BYTES = 63  # NAMEDATALEN - 1
UNUSABLE_IN_NAMES = frozenset(":,\"'\\#")  # separators, quotes and comments of pool_passwd, pgpass and DSNs
_SCRAM = re.compile(r"SCRAM-SHA-256\$(?P<rounds>\d+):(?P<salt>[^$]+)\$(?P<stored>[^:]+):(?P<server>.+)")


@dataclass(frozen=True)
class UserSources:
    """The users as each source reports them."""

    roles: Seen[Mapping[str, DatabaseRole]]
    entries: Seen[Mapping[str, str]]  # of the file pool_passwd: user → entry
    passwords: Seen[Mapping[str, str]]  # decrypted from them: user → clear text
    endpoints: Mapping[str, Seen[Mapping[str, str]]]  # each Pgpool's own copy: service → user → entry


def user_name_mistake(name: str) -> str | None:
    """Return why a user can't have this name, or None. Rules that only PostgreSQL knows are not checked.

    Capitals, blanks, dashes and other letters are possible, as in `CREATE ROLE "A-b"`. A colon ends the name in
    Pgpool-II's list.
    """
    if not 1 <= len(name.encode()) <= MAX_NAME_BYTES:
        reason = f"it must have 1 to {MAX_NAME_BYTES} bytes (UTF-8)"
    elif not name.isprintable() or name != name.strip():
        reason = "it begins or ends with a blank, or has a character that does not print"
    elif unusable := sorted(set(name) & UNUSABLE_IN_NAMES):
        reason = f"Pgpool-II's list of users cannot hold {' '.join(unusable)} in a name"
    else:
        return _reserved_mistake(name, "user")
    return f"{grammar.shown(name)} can't be the name of a user: {reason}"


def database_name_mistake(name: str) -> str | None:
    """Return why a database can't have this name, or None. Rules that only PostgreSQL knows are not checked."""
    if not re.fullmatch(grammar.ROLE, name):
        return f"{grammar.shown(name)} can't be the name of a database: it must be {grammar.IN_WORDS[grammar.ROLE]}"
    return _reserved_mistake(name, "database")


def _reserved_mistake(name: str, what: str) -> str | None:
    if name.startswith("pg_") or name in ("public", "none"):
        return f"{name!r} can't be the name of a {what}: PostgreSQL reserves it"
    return None


def password_mistake(password: str) -> str | None:
    """Return why a password can't be used, or None. The sentence does not contain the password.

    Pgpool-II does not normalize a password as PostgreSQL and libpq do (SASLprep, RFC 4013). A password that normalizing
    changes would be right for one of them and wrong for the other.
    """
    if not password:
        return "the password is empty"
    if password != password.strip():
        return "the password begins or ends with a blank"
    if not password.isprintable():
        return "the password has a line break, a tab or another character that does not print"
    if len(password.encode()) > pool_passwd.MAX_PASSWORD_BYTES:
        return f"the password has more than the {pool_passwd.MAX_PASSWORD_BYTES} bytes (UTF-8) that Pgpool can keep"
    if unicodedata.normalize("NFKC", password) != password or any(map(stringprep.in_table_b1, password)):
        return "the password has characters that PostgreSQL normalizes (SASLprep) and Pgpool does not"
    return None


def is_of_verifier(password: str, verifier: str) -> bool:
    """Return whether the password matches a SCRAM-SHA-256 verifier (RFC 5803); False for another form of verifier."""
    parts = _SCRAM.fullmatch(verifier)
    if not parts:
        return False
    try:
        salt, stored = base64.b64decode(parts["salt"]), base64.b64decode(parts["stored"])
    except binascii.Error:
        return False
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, int(parts["rounds"]))
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    return hmac.compare_digest(hashlib.sha256(client_key).digest(), stored)


def unpooled(roles: Roles) -> frozenset[str]:
    """Return the roles that never log in through Pgpool-II."""
    return frozenset((roles.replication, roles.rewind))


def own(roles: Roles) -> dict[str, str]:
    """Return the roles that the first start creates, each with its purpose."""
    return {
        roles.superuser: "the superuser",
        roles.replication: "the standbys' role",
        roles.rewind: "pg_rewind's role",
        roles.check: "the role of the checks",
        roles.app: "the application's role",
    }


def rows(roles: Roles, seen: UserSources) -> list[UserRow]:
    """Return every user that a source reports, or that must exist, ordered by name."""
    names = {*(seen.roles.value or {}), *(seen.entries.value or {}), *own(roles)}
    for copy in seen.endpoints.values():
        names |= set(copy.value or {})
    return [_row(roles, seen, name) for name in sorted(names)]


def _row(roles: Roles, seen: UserSources, name: str) -> UserRow:
    known = seen.roles.value
    role = known.get(name) if known is not None else None
    return UserRow(
        name=name,
        can_login=None if known is None else bool(role and role.can_login),
        in_pool_passwd=None if seen.entries.value is None else name in seen.entries.value,
        is_superuser=None if known is None else bool(role and role.is_superuser),
        databases=role.databases if role else (),
        drift=(*_presence(roles, seen, name, role), *_passwords(seen, name, role), *_copies(seen, name)),
        undecided=tuple(_undecided(seen, name, role)),
    )


def _presence(roles: Roles, seen: UserSources, name: str, role: DatabaseRole | None) -> Iterator[str]:
    if seen.roles.value is None:
        return
    entries = seen.entries.value
    if role is None and entries is not None and name in entries:
        yield "in pool_passwd only: PostgreSQL has no such role"
    elif role is None and name in own(roles):
        yield f"PostgreSQL does not have {own(roles)[name]}"
    elif role and not role.can_login and entries is not None and name in entries:
        yield "in pool_passwd, but PostgreSQL does not let it log in"
    elif role and role.can_login and entries is not None and name not in entries and name not in unpooled(roles):
        yield "in PostgreSQL only: it can't log in through Pgpool"


def _passwords(seen: UserSources, name: str, role: DatabaseRole | None) -> Iterator[str]:
    entry = (seen.entries.value or {}).get(name)
    mistake = pool_passwd.entry_mistake(entry) if entry else None
    if mistake:
        yield mistake
    if role is None or not role.can_login:
        return
    if role.verifier is None:
        yield "PostgreSQL has no password for it"
    elif not _SCRAM.fullmatch(role.verifier):
        yield "its password in PostgreSQL is not SCRAM-SHA-256"
    elif entry and not mistake and seen.passwords.value is not None:
        password = seen.passwords.value.get(name)
        if password is None:
            yield "its entry in pool_passwd can't be decrypted with the cluster's key"
        elif not is_of_verifier(password, role.verifier):
            yield "its passwords in PostgreSQL and in pool_passwd differ"


def _copies(seen: UserSources, name: str) -> Iterator[str]:
    if seen.entries.value is None:
        return
    entry = seen.entries.value.get(name)
    late = [
        service for service, copy in seen.endpoints.items() if copy.value is not None and copy.value.get(name) != entry
    ]
    if late:
        yield f"not taken yet by {', '.join(late)}"


def _undecided(seen: UserSources, name: str, role: DatabaseRole | None) -> Iterator[str]:
    if seen.roles.value is None:
        yield f"PostgreSQL: {seen.roles.error}"
    if seen.entries.value is None:
        yield f"pool_passwd: {seen.entries.error}"
    elif seen.passwords.value is None and role and name in seen.entries.value:
        yield f"whether the passwords are the same: {seen.passwords.error}"
    for service, copy in seen.endpoints.items():
        if copy.value is None:
            yield f"{service}: {copy.error}"
