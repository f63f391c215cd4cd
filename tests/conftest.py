"""The option `--write-golden`, the fixture `golden`, Hypothesis without a time limit, and no variable of the shell."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

from poolkeeper.core import environment

pytest_plugins = (
    "tests.clusters",
    "tests.reruns",
)  # the end-to-end tests of both packages share the first one's fixture

TESTS = Path(__file__).parent
_LINES_SHOWN = 60

# The tests open sessions and start programs without the command line, which does this first.
environment.isolate()

# A loaded machine is slow, not wrong.
settings.register_profile("poolkeeper", deadline=None)
settings.load_profile("poolkeeper")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--write-golden`: the tests write their output to the golden folders instead of comparing it."""
    parser.addoption(
        "--write-golden", action="store_true", help="write the golden files again instead of comparing with them"
    )


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Return `golden(name, text)`: it compares the text with that golden file of the package, or writes it."""
    root = TESTS / request.path.relative_to(TESTS).parts[0] / "golden"
    shown = root.relative_to(TESTS.parent)
    write = bool(request.config.getoption("--write-golden"))

    def check(name: str, text: str) -> None:
        __tracebackhide__ = True
        path = root / name
        if write:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text.encode())
        elif not path.exists():
            pytest.fail(f"{shown}/{name} does not exist; `pytest --write-golden` writes it", pytrace=False)
        elif (wanted := path.read_bytes().decode()) != text:
            pytest.fail(_explain(f"{shown}/{name}", wanted, text), pytrace=False)

    return check


def _explain(name: str, wanted: str, got: str) -> str:
    """Return a unified diff. Lines with invisible characters are shown as literals."""
    before, after = wanted.splitlines(keepends=True), got.splitlines(keepends=True)
    lines = list(difflib.unified_diff(before, after, name, "produced now"))
    shown = [
        repr(line)[1:-1].removesuffix("\\n") if not line[:-1].isprintable() else line.rstrip("\n") for line in lines
    ]
    rest = [f"… and {len(shown) - _LINES_SHOWN} more lines"] if len(shown) > _LINES_SHOWN else []
    advice = "If the new text is right: `pytest --write-golden`, and read the diff of git before you commit it."
    return "\n".join([f"{name} differs:", *shown[:_LINES_SHOWN], *rest, "", advice])
