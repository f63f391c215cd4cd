"""The removal of passwords from text before it is shown or stored.

Invariant: a second redaction changes nothing. If the end of a password is uncertain, too much is masked rather than too
little. A password is recognised by its place (after `password=`, inside a URL), not by its value. Not promised: to mask
a password without such a place.
"""

from __future__ import annotations

import re

MASK = "***"

_WORD = re.compile(r"\S+", re.ASCII)
_CREDENTIALS = re.compile(r"://[^:/]*:")
_NEXT_URL = re.compile(r"(?<=[,;\"'])(?=[a-z][a-z0-9+.-]{0,20}://)", re.I)

# keyword=value as libpq, environments, YAML and JSON write it; the quoting is libpq's (\') or SQL's ('').
_KEYWORD = re.compile(
    r"(?P<key>(?:password|(?<!pool_)passwd|passphrase)(?:\\?[\"'])?\s*[:=])[:=]*>?(?P<gap>\s*)"
    r"(?:(?P<quote>['\"])(?:(?!(?P=quote)|\\).|\\.?|(?P=quote){2})*(?:(?P=quote)(?:[^\s,;:)\]}&\"']\S*)?)?"
    r"|(?:\\.|\S)+)",
    re.ASCII | re.I | re.S,
)

# CREATE or ALTER ROLE … PASSWORD 'x', E'x', U&'x', $$x$$.
_SQL = re.compile(
    r"(?P<key>password\s+)(?:(?:E|U&)?'(?:[^'\\]|\\.?|'')*(?:'|$)|(?P<tag>\$\w*\$).*?(?:(?P=tag)|$))",
    re.ASCII | re.I | re.S,
)

# The verifiers of pg_authid, and the HTTP header with credentials.
_VERIFIER = re.compile(
    r"(?P<kind>SCRAM-SHA-256\$|\bmd5(?=[0-9a-f]{32}\b)|\bAuthorization:\s*(?:Basic|Bearer)\s+)\S+", re.I
)


def redact(text: str) -> str:
    """Return the text with every password and every verifier replaced by `***`."""
    text = _WORD.sub(_mask_urls, text) if "://" in text else text
    text = _SQL.sub(rf"\g<key>'{MASK}'", text)
    text = _KEYWORD.sub(_mask_value, text)
    return _VERIFIER.sub(rf"\g<kind>{MASK}", text)


def _mask_urls(word: re.Match[str]) -> str:
    """Mask each URL of a word. One without @ extends into the next: its password may contain a comma and a ://."""
    masked: list[str] = []
    waiting: list[str] = []
    for piece in _NEXT_URL.split(word[0]):
        waiting.append(piece)
        if "@" in piece:
            masked.append(_mask_url("".join(waiting)))
            waiting = []
    return "".join([*masked, *waiting])


def _mask_url(text: str) -> str:
    """Mask up to the last @, because @ and / in a password may be unescaped."""
    found, at = _CREDENTIALS.search(text), text.rfind("@")
    return f"{text[: found.end()]}{MASK}{text[at:]}" if found and at >= found.end() else text


def _mask_value(found: re.Match[str]) -> str:
    """Mask a value, and keep its key and its kind of quotes."""
    quote = found["quote"] or ""
    return f"{found['key']}{found['gap']}{quote}{MASK}{quote}"
