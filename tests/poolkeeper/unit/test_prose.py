"""The language of prose: few words that a reader would have to translate (docs/style.md has the words to use instead).

The test counts words outside code, so that a literal name never counts. The limit is a rate, since each of these words
also has an ordinary meaning.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PER_THOUSAND = 0.5
REPLACED = re.compile(
    r"\b(lanes?|doors?|witness(?:es)?|mend(?:s|ed|ing)?|whole|look(?:s|ed|ing)?|judg(?:es?|ed|ing|e?ments?)|told|heard|says"
    r"|anew|taken back|unfit|fit|accounts?|crew|gear|bed|room|ground|plant(?:s|ed|ing)?|story|stories|scenes?|senses?"
    r"|knowledge|reigns?|acts?|sittings?|deaf|hast(?:e|en|ens|ened)|is green|nobody|whoever|whom)\b",
    re.IGNORECASE,
)
_CODE = re.compile(r"```.*?```|~~~.*?~~~|^(?: {4}|\t).*?$|`[^`\n]*`|<!--.*?-->|\]\([^)]*\)", re.DOTALL | re.MULTILINE)
_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?")


def prose(text: str) -> str:
    """Return a text without its code: fences, indented blocks, spans, comments and link targets."""
    return _CODE.sub(" ", text)


def docstrings(text: str) -> Iterator[str]:
    """Yield the docstrings of a module, its classes and its functions."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield ast.get_docstring(node) or ""


def offences(texts: dict[str, str]) -> tuple[float, list[str]]:
    """Return the replaced words per 1,000 words over all texts, and each offender as "PLACE: word"."""
    words = sum(len(_WORD.findall(text)) for text in texts.values())
    found = [f"{place}: {match[0]}" for place, text in texts.items() for match in REPLACED.finditer(text)]
    return 1000 * len(found) / max(words, 1), found


def pages() -> dict[str, str]:
    """Return the prose of every page by its path."""
    paths = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    return {str(path.relative_to(ROOT)): prose(path.read_text(encoding="utf-8")) for path in sorted(paths)}


def documented(package: str) -> dict[str, str]:
    """Return the docstrings of every module of a package by its path, without the code in them."""
    paths = sorted((ROOT / "src" / package).rglob("*.py"))
    return {
        str(path.relative_to(ROOT)): prose("\n\n".join(docstrings(path.read_text(encoding="utf-8")))) for path in paths
    }


@pytest.mark.parametrize("part", ["pages", "poolkeeper", "poolkeeper_lab"])
def test_few_words_need_translation(part: str) -> None:
    texts = pages() if part == "pages" else documented(part)
    assert len(texts) > 10, "the texts were not found"
    rate, found = offences(texts)
    assert rate <= PER_THOUSAND, f"{rate:.2f} of 1,000 words; docs/style.md has better ones\n" + "\n".join(found)


def test_an_injected_offender_is_found_and_code_is_not_counted() -> None:
    text = "The keeper mends the lane.\n\n    door = 1\n\nSee `witness`, [it](a-story.md).\n\n```\nwhole\n```\n"
    assert offences({"a.md": prose(text)}) == (1000 * 2 / 7, ["a.md: mends", "a.md: lane"])
    (docstring,) = (d for d in docstrings('def f():\n    """Nobody looks."""\n') if d)
    assert [found for found in offences({"f": docstring})[1]] == ["f: Nobody", "f: looks"]
