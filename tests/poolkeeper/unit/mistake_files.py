"""Files of `cluster.toml` with mistakes. Each mistake that a test expects is in a comment: `#! key: part of the rule`.

A mistake belongs to the line of its comment; `#!- key: …` expects one without a line.
"""

from __future__ import annotations

import re

import pytest

from poolkeeper.core.errors import SpecError
from poolkeeper.model import source

Expected = list[tuple[str, int | None, str]]


def expected_of(text: str) -> Expected:
    """Return the key, the line and a part of the rule of each expected mistake."""
    found = []
    for number, line in enumerate(text.split("\n"), start=1):
        for absent, key, part in re.findall(r"#!(-?) (\S+|\S+\.\"[^\"]+\"): (.*?)(?=\s+#!|$)", line):
            found.append((key, None if absent else number, part))
    return found


def mistakes_of(text: str) -> Expected:
    """Return the key, the line and the rule of each reported mistake."""
    with pytest.raises(SpecError) as caught:
        source.load(text)
    return [(mistake.key, mistake.line, mistake.rule) for mistake in caught.value.mistakes]


def check(text: str) -> None:
    """Assert that every mistake is expected, and that every expected one is reported."""
    expected, found = expected_of(text), mistakes_of(text)
    assert sorted(e[:2] for e in expected if e[1]) == sorted(f[:2] for f in found if f[1]), found
    assert sorted(e[0] for e in expected) == sorted(f[0] for f in found), found
    for key, line, part in expected:
        assert any(f[:2] == (key, line) and part in f[2] for f in found), (key, line, part, found)
