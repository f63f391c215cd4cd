"""The links of README and the other pages outside docs/; MkDocs checks those inside."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PAGES = sorted(path.name for path in ROOT.glob("*.md"))
_LINK = re.compile(r"\]\((?!https?:|mailto:)([^)#\s]*)(?:#([^)\s]+))?\)")


def anchors(text: str) -> set[str]:
    """Return the anchors of a page's headings, as forges and MkDocs make them."""
    headings = re.findall(r"^#+ +(.+?) *$", text, re.MULTILINE)
    return {re.sub(r"[\s]+", "-", re.sub(r"[^\w\s-]", "", heading.lower()).strip()) for heading in headings}


def dead_links(page: Path, text: str) -> Iterator[str]:
    """Yield each link of a page that leads nowhere."""
    for target, anchor in _LINK.findall(text):
        path = page.parent / target if target else page
        if not path.exists():
            yield f"{page.name}: {target} does not exist"
        elif anchor and path.suffix == ".md" and anchor not in anchors(text if path == page else path.read_text()):
            yield f"{page.name}: {target} has no heading #{anchor}"


@pytest.mark.parametrize("name", PAGES)
def test_every_link_leads_somewhere(name: str) -> None:
    assert list(dead_links(ROOT / name, (ROOT / name).read_text(encoding="utf-8"))) == []


def test_injected_dead_links_are_found() -> None:
    good = "# One thing\n[a](#one-thing) [b](docs/index.md)\n"
    bad = "[c](#another) [d](docs/nowhere.md) [e](docs/index.md#nothing-here)\n"
    assert len(list(dead_links(ROOT / "README.md", good + bad))) == 3


_PATH = re.compile(r"`([\w./-]+/[\w.-]+\.(?:py|sh|toml|md|j2|lua|jsonl))`")
ROOMS = [ROOT, ROOT / "src", ROOT / "src/poolkeeper", ROOT / "src/poolkeeper_lab", ROOT / "docs"]
HISTORY = {"CHANGELOG.md"}  # names what was there at the time


def missing_files(text: str) -> list[str]:
    """Return the files that a page names in code spans and that are nowhere below the project's rooms."""
    return [
        path
        for path in _PATH.findall(text)
        if not path.startswith("reports/") and not any((room / path).exists() for room in ROOMS)
    ]


def test_every_file_that_a_page_names_exists() -> None:
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    missing = {page.name: missing_files(page.read_text()) for page in pages if page.name not in HISTORY}
    assert {page: paths for page, paths in missing.items() if paths} == {}


def test_an_injected_missing_file_is_found() -> None:
    assert missing_files("`operations/up.py`, `operations/down_and_up.py`, `tests/nowhere/a.py`") == [
        "operations/down_and_up.py",
        "tests/nowhere/a.py",
    ]
