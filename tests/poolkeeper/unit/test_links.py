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
