"""Text of a suite that is safe to show: no passwords, no invisible characters.

Invariant: what `legible` returns contains only characters that XML 1.0 allows and a reader can see, so that no
renderer has to treat control characters. Each format does its own escaping.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import replace

from poolkeeper.model.redact import redact
from poolkeeper.model.verdict import Evidence, Suite, Verdict

_SURROGATE = re.compile(r"[\ud800-\udfff]")
_SHOWS_NOTHING = {"Cc", "Cf", "Cs", "Zl", "Zp"}
_NONCHARACTERS = {"\ufffe", "\uffff"}  # the two that XML 1.0 forbids besides controls and surrogates


def redacted(suite: Suite) -> Suite:
    """Return the suite without passwords and without lone surrogates, which UTF-8 cannot hold."""
    return _map_text(suite, lambda text: redact(_SURROGATE.sub("\ufffd", text)))


def legible(suite: Suite) -> Suite:
    """Return the suite without passwords and with every invisible character made visible.

    Redaction comes second: a control character inside the word `password` must not hide it.
    """
    return _map_text(suite, lambda text: redact(show_invisible(text)))


def show_invisible(text: str) -> str:
    """Return control characters as pictures (␛), other invisible ones as U+FFFD. Tab and newline stay; CR LF is one."""
    text = text.replace("\r\n", "\n")
    return text if text.isascii() and text.isprintable() else "".join(map(_visible, text))


def _visible(char: str) -> str:
    if char in "\t\n":
        return char
    if char < " ":
        return chr(0x2400 + ord(char))
    if char == "\x7f":
        return "\u2421"
    return "\ufffd" if unicodedata.category(char) in _SHOWS_NOTHING or char in _NONCHARACTERS else char


def _map_text(suite: Suite, change: Callable[[str], str]) -> Suite:
    """Return the suite with `change` applied to each of its texts."""
    return replace(
        suite,
        cluster=change(suite.cluster),
        started_at=change(suite.started_at),
        verdicts=tuple(_map_verdict(verdict, change) for verdict in suite.verdicts),
        versions={change(component): change(version) for component, version in suite.versions.items()},
        topology=tuple((change(service), change(where), change(role)) for service, where, role in suite.topology),
        changes=tuple(change(line) for line in suite.changes),
    )


def _map_verdict(verdict: Verdict, change: Callable[[str], str]) -> Verdict:
    evidence = tuple(_map_evidence(piece, change) for piece in verdict.evidence)
    check, title, summary = change(verdict.check), change(verdict.title), change(verdict.summary)
    return replace(verdict, check=check, title=title, summary=summary, evidence=evidence)


def _map_evidence(piece: Evidence, change: Callable[[str], str]) -> Evidence:
    return Evidence(change(piece.where), change(piece.ran), change(piece.returned), piece.seconds)
