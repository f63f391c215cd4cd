"""The rules of the house: size of files and functions, who may speak to the outside, a docstring for each module.

Each rule is a function from a file's path and text to what offends it, and has a planted offender that it catches.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
FILE_LINES = 400
FUNCTION_LINES = 60
OUTSIDE = {"subprocess", "httpx", "psycopg"}
PSYCOPG_ROOMS = {"chaos", "bench", "drill"}
NOT_HELD = {("poolkeeper", "system"), ("poolkeeper", "images")}  # the adapters; what runs inside a container

Rule = Callable[[str, str], Iterator[str]]


def long_file(path: str, text: str) -> Iterator[str]:
    """At most FILE_LINES lines."""
    lines = len(text.splitlines())
    if lines > FILE_LINES:
        yield f"{path}: {lines} lines, {FILE_LINES} are allowed; make it two rooms"


def long_function(path: str, text: str) -> Iterator[str]:
    """At most FUNCTION_LINES lines, the docstring counted."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > FUNCTION_LINES:
                yield f"{path}:{node.lineno}: {node.name}() has {lines} lines, {FUNCTION_LINES} are allowed"


def no_docstring(path: str, text: str) -> Iterator[str]:
    """A module says its purpose; an empty file says nothing and needs nothing."""
    if text.strip() and not ast.get_docstring(ast.parse(text)):
        yield f"{path}: the module has no docstring"


def outside_of_system(path: str, text: str) -> Iterator[str]:
    """subprocess, httpx and psycopg only in system/; psycopg also in the workloads of chaos, bench and drill."""
    parts = Path(path).with_suffix("").parts
    package, room = parts[1:3] if parts[0] == "src" else ("", "")
    if not package or (package, room) in NOT_HELD:
        return
    allowed = {"psycopg"} if package == "poolkeeper_lab" and room in PSYCOPG_ROOMS else set()
    for line, module in _imports(ast.parse(text)):
        if module in OUTSIDE - allowed:
            yield f"{path}:{line}: imports {module}, which only system/ may"


def _imports(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, name.name.split(".")[0]) for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.lineno, node.module.split(".")[0]


RULES: tuple[Rule, ...] = (long_file, long_function, no_docstring, outside_of_system)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_house(rule: Rule) -> None:
    files = [path for room in ("src", "tests") for path in sorted((ROOT / room).rglob("*.py"))]
    assert len(files) > 10, "the files were not found"
    texts = ((str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")) for path in files)
    offences = [offence for path, text in texts for offence in rule(path, text)]
    assert not offences, "\n" + "\n".join(offences)


PLANTED: tuple[tuple[Rule, str, str, int], ...] = (
    (long_file, "src/poolkeeper/a.py", "x = 1\n" * 401, 1),
    (long_file, "src/poolkeeper/a.py", "x = 1\n" * 400, 0),
    (long_function, "src/poolkeeper/a.py", "def f():\n" + "    x = 1\n" * 60, 1),
    (long_function, "src/poolkeeper/a.py", "class A:\n    async def f():\n" + "        x = 1\n" * 60, 1),
    (long_function, "src/poolkeeper/a.py", "def f():\n" + "    x = 1\n" * 59, 0),
    (no_docstring, "src/poolkeeper/a.py", "x = 1\n", 1),
    (no_docstring, "src/poolkeeper/a.py", '"""Why."""\nx = 1\n', 0),
    (no_docstring, "src/poolkeeper/__init__.py", "", 0),
    (outside_of_system, "src/poolkeeper/observe.py", "import subprocess\n", 1),
    (outside_of_system, "src/poolkeeper/observe.py", "def f():\n    from httpx import Client\n", 1),
    (outside_of_system, "src/poolkeeper/verify/sql.py", "import psycopg.rows\n", 1),
    (outside_of_system, "src/poolkeeper/cli/system/a.py", "import httpx\n", 1),
    (outside_of_system, "src/poolkeeper/system/a.py", "import subprocess, httpx, psycopg\n", 0),
    (outside_of_system, "src/poolkeeper/images/postgres/a.py", "import subprocess\n", 0),
    (outside_of_system, "src/poolkeeper/chaos/a.py", "import psycopg\n", 1),
    (outside_of_system, "src/poolkeeper_lab/system/a.py", "import httpx\n", 1),
    (outside_of_system, "src/poolkeeper_lab/chaos/a.py", "import psycopg\n", 0),
    (outside_of_system, "src/poolkeeper_lab/chaos/a.py", "import subprocess\n", 1),
    (outside_of_system, "src/poolkeeper_lab/faults/a.py", "import psycopg\n", 1),
    (outside_of_system, "tests/e2e/a.py", "import subprocess\n", 0),
)


@pytest.mark.parametrize(("rule", "path", "text", "count"), PLANTED)
def test_rule_catches_its_planted_offender(rule: Rule, path: str, text: str, count: int) -> None:
    assert len(list(rule(path, text))) == count
