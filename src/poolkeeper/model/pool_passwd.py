"""Pgpool-II's user list, `pool_passwd`: a line `user:entry` for each user.

Invariant: an edit changes the lines of its user only, and keeps every other byte, including lines that Poolkeeper did
not write. As in Pgpool-II, the first line of a user counts.
"""

from __future__ import annotations

from dataclasses import dataclass

# Pgpool-II 4.6 truncates an entry to this length, in characters (MAX_TOKEN_LEN in pool_passwd.c), and then cannot
# decrypt it.
MAX_ENTRY = 128
# The longest password whose entry is short enough: 5 blocks of AES less one byte of padding, in base64, after "AES".
MAX_PASSWORD_BYTES = 79
_AES = "AES"


@dataclass(frozen=True)
class PoolPasswd:
    """The lines of the file."""

    lines: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The file's text."""
        return "".join(f"{line}\n" for line in self.lines)

    @property
    def entries(self) -> dict[str, str]:
        """User → entry, in the order of the file."""
        found: dict[str, str] = {}
        for line in self.lines:
            user, colon, entry = line.partition(":")
            if colon and entry:
                found.setdefault(user, entry)
        return found

    def without(self, user: str) -> PoolPasswd:
        """Return the file without this user's lines."""
        return PoolPasswd(tuple(line for line in self.lines if not _is_of(line, user)))

    def with_entry(self, user: str, entry: str) -> PoolPasswd:
        """Return the file with one entry for this user: in the place of an older one, else at the end."""
        place = next((i for i, line in enumerate(self.lines) if _is_of(line, user)), None)
        if place is None:
            return PoolPasswd((*self.lines, f"{user}:{entry}"))
        rest = PoolPasswd(self.lines[place + 1 :]).without(user).lines
        return PoolPasswd((*self.lines[:place], f"{user}:{entry}", *rest))


def _is_of(line: str, user: str) -> bool:
    return line.startswith(f"{user}:")


def parse(text: str) -> PoolPasswd:
    """Return the file from its text."""
    return PoolPasswd(tuple(text.split("\n")[:-1] if text.endswith("\n") else text.split("\n")) if text else ())


def entry_mistake(entry: str) -> str | None:
    """Return why Pgpool-II cannot use an entry for SCRAM on both sides, None if it can."""
    if not entry.startswith(_AES):
        return "its entry in pool_passwd is not AES-encrypted"
    if len(entry) > MAX_ENTRY:
        return f"its entry in pool_passwd is longer than the {MAX_ENTRY} characters that Pgpool-II reads"
    return None
