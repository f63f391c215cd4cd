"""The rules of the house: sizes, I/O only in system/, docstrings, one name for one thing, waits that return a result.

Each rule is a function from a file's path and text to what offends it, and has an injected offender that it catches.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from poolkeeper.model import endpoint_keys

ROOT = Path(__file__).resolve().parents[3]
FILE_LINES = 400
FILE_LINES_MEDIAN = 120
FUNCTION_LINES = 50
OUTSIDE = {"subprocess", "httpx", "psycopg"}
PSYCOPG_ROOMS = {"chaos", "bench", "drill"}
NOT_HELD = {("poolkeeper", "system"), ("poolkeeper", "images")}  # the adapters; what runs inside a container

ENDPOINT_KEYS = frozenset(endpoint_keys.ALL)
OTHER_KEYS = {  # words of the same spelling
    "src/poolkeeper/model/endpoint_keys.py": "their one place",
    "src/poolkeeper_lab/chaos/checkers/dependencies.py": "rw is a dependency: read, then written",
    "src/poolkeeper_lab/chaos/mutants/keeper_source.py": "rw and ro are options of mount",
}

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
    """A module states its purpose; an empty file needs no docstring."""
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


def result_carried_out(path: str, text: str) -> Iterator[str]:
    """No `nonlocal`: a wait returns what it found (core.wait.wait_for)."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Nonlocal):
            yield f"{path}:{node.lineno}: nonlocal {', '.join(node.names)}; return the value instead"


def endpoint_key_written_again(path: str, text: str) -> Iterator[str]:
    """The sources name an endpoint's key by its constant (model.endpoint_keys)."""
    if not path.startswith("src/") or path in OTHER_KEYS:
        return
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in ENDPOINT_KEYS:
            yield f"{path}:{node.lineno}: {node.value!r}; use endpoint_keys.{node.value.upper()}"


def undocumented_error(path: str, text: str) -> Iterator[str]:
    """A public function that raises one of our errors in its own body documents it in a section `Raises:`."""
    if not path.startswith("src/"):
        return
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or node.name.startswith("_"):
            continue
        if "override" in map(ast.unparse, node.decorator_list):  # the overridden method has the docstring
            continue
        if any(_raises_ours(line) for line in _own(node)) and "Raises:" not in (ast.get_docstring(node) or ""):
            yield f"{path}:{node.lineno}: {node.name}() raises on purpose; its docstring has no section `Raises:`"


def _raises_ours(node: ast.AST) -> bool:
    return isinstance(node, ast.Raise) and bool(node.exc) and ast.unparse(node.exc or node).startswith("errors.")


def _own(function: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes of a function without those of functions inside it."""
    for node in ast.iter_child_nodes(function):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield node
            yield from _own(node)


def encoding_by_locale(path: str, text: str) -> Iterator[str]:
    """A text file and the output of a program have an encoding; ruff's PLW1514 sees only what it knows to be a path."""
    if not path.startswith("src/"):
        return
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call):
            name, given = ast.unparse(node.func).rpartition(".")[2], {keyword.arg for keyword in node.keywords}
            reads = name in {"read_text", "write_text"} and "encoding" not in given
            if reads or (given & {"text", "universal_newlines"} and name in {"run", "Popen", "check_output"}):
                yield f"{path}:{node.lineno}: {name}() without an encoding"


def mode_by_umask(path: str, text: str) -> Iterator[str]:
    """The product creates a folder with core.file_modes, which gives it a mode."""
    if not path.startswith("src/poolkeeper/") or path == "src/poolkeeper/core/file_modes.py":
        return
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Attribute) and node.attr in {"mkdir", "makedirs", "touch"}:
            yield f"{path}:{node.lineno}: {node.attr} follows the umask; use core.file_modes"


RULES: tuple[Rule, ...] = (
    long_file,
    long_function,
    no_docstring,
    outside_of_system,
    result_carried_out,
    endpoint_key_written_again,
    undocumented_error,
    encoding_by_locale,
    mode_by_umask,
)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_house(rule: Rule) -> None:
    files = [path for room in ("src", "tests") for path in sorted((ROOT / room).rglob("*.py"))]
    assert len(files) > 10, "the files were not found"
    texts = ((str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")) for path in files)
    offences = [offence for path, text in texts for offence in rule(path, text)]
    assert not offences, "\n" + "\n".join(offences)


def homonyms(texts: dict[str, str]) -> Iterator[str]:
    """Yield each module and each public class whose name stands in two places."""
    places: dict[str, list[str]] = {}
    for path, text in texts.items():
        name = Path(path).stem
        if not name.startswith("__"):
            places.setdefault(f"module {name}", []).append(path)
        for node in ast.parse(text).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places.setdefault(f"class {node.name}", []).append(path)
    yield from (f"{name}: {', '.join(found)}" for name, found in places.items() if len(found) > 1)


def _sources() -> dict[str, str]:
    paths = sorted((ROOT / "src").rglob("*.py"))
    return {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in paths}


def test_one_name_for_one_thing() -> None:
    assert list(homonyms(_sources())) == []


def test_injected_homonyms_are_found() -> None:
    texts = {
        "src/a/one.py": "class A: ...\n",
        "src/b/one.py": "class B: ...\n",
        "src/b/two.py": "class A: ...\nclass _B: ...\n",
    }
    assert [name.partition(":")[0] for name in homonyms(texts)] == ["module one", "class A"]


def test_most_files_are_short() -> None:
    lengths = sorted(len(text.splitlines()) for text in _sources().values())
    assert lengths[len(lengths) // 2] <= FILE_LINES_MEDIAN


INJECTED: tuple[tuple[Rule, str, str, int], ...] = (
    (long_file, "src/poolkeeper/a.py", "x = 1\n" * 401, 1),
    (long_file, "src/poolkeeper/a.py", "x = 1\n" * 400, 0),
    (long_function, "src/poolkeeper/a.py", "def f():\n" + "    x = 1\n" * 50, 1),
    (long_function, "src/poolkeeper/a.py", "class A:\n    async def f():\n" + "        x = 1\n" * 50, 1),
    (long_function, "src/poolkeeper/a.py", "def f():\n" + "    x = 1\n" * 49, 0),
    (no_docstring, "src/poolkeeper/a.py", "x = 1\n", 1),
    (no_docstring, "src/poolkeeper/a.py", '"""Why."""\nx = 1\n', 0),
    (no_docstring, "src/poolkeeper/__init__.py", "", 0),
    (outside_of_system, "src/poolkeeper/cluster/snapshot.py", "import subprocess\n", 1),
    (outside_of_system, "src/poolkeeper/cluster/snapshot.py", "def f():\n    from httpx import Client\n", 1),
    (outside_of_system, "src/poolkeeper/suite/checks/sql.py", "import psycopg.rows\n", 1),
    (outside_of_system, "src/poolkeeper/cli/system/a.py", "import httpx\n", 1),
    (outside_of_system, "src/poolkeeper/system/a.py", "import subprocess, httpx, psycopg\n", 0),
    (outside_of_system, "src/poolkeeper/images/postgres/a.py", "import subprocess\n", 0),
    (outside_of_system, "src/poolkeeper/doctor/a.py", "import psycopg\n", 1),
    (outside_of_system, "src/poolkeeper_lab/system/a.py", "import httpx\n", 1),
    (outside_of_system, "src/poolkeeper_lab/chaos/a.py", "import psycopg\n", 0),
    (outside_of_system, "src/poolkeeper_lab/chaos/a.py", "import subprocess\n", 1),
    (outside_of_system, "src/poolkeeper_lab/faults/a.py", "import psycopg\n", 1),
    (outside_of_system, "tests/poolkeeper/e2e/a.py", "import subprocess\n", 0),
    (result_carried_out, "src/poolkeeper/a.py", "def f():\n    x = 1\n    def g():\n        nonlocal x\n", 1),
    (endpoint_key_written_again, "src/poolkeeper/a.py", "x = seen['direct_rw']\ny = {'rw': 1}\n", 2),
    (endpoint_key_written_again, "src/poolkeeper/a.py", "x = seen.rw or 'rwx' or f'{x}.rw'\n", 0),
    (endpoint_key_written_again, "src/poolkeeper_lab/chaos/mutants/keeper_source.py", "x = 'rw'\n", 0),
    (endpoint_key_written_again, "tests/poolkeeper/unit/a.py", "x = 'rw'\n", 0),
    (undocumented_error, "src/poolkeeper/a.py", "def f():\n    if x:\n        raise errors.DiskFull(y)\n", 1),
    (
        undocumented_error,
        "src/poolkeeper/a.py",
        'def f():\n    """F.\n\n    Raises:\n        DiskFull: y.\n    """\n    raise errors.A(y)\n',
        0,
    ),
    (undocumented_error, "src/poolkeeper/a.py", "def _f():\n    raise errors.DiskFull(y)\n", 0),
    (encoding_by_locale, "src/poolkeeper/a.py", "a.b.read_text()\nf().write_text(x)\n", 2),
    (encoding_by_locale, "src/poolkeeper/a.py", "subprocess.run(x, text=True)\nasyncio.run(x)\n", 1),
    (encoding_by_locale, "src/poolkeeper/a.py", "a.read_text(encoding='utf-8')\na.read_bytes()\n", 0),
    (mode_by_umask, "src/poolkeeper/a.py", "a.parent.mkdir(mode=0o700)\nos.makedirs(a)\nb.touch()\n", 3),
    (mode_by_umask, "src/poolkeeper/core/file_modes.py", "a.mkdir()\n", 0),
    (mode_by_umask, "src/poolkeeper_lab/faults/a.py", "a.mkdir()\n", 0),
    (undocumented_error, "src/poolkeeper/a.py", "def f():\n    def g():\n        raise errors.DiskFull(y)\n", 1),
)


@pytest.mark.parametrize(("rule", "path", "text", "count"), INJECTED)
def test_rule_catches_its_injected_offender(rule: Rule, path: str, text: str, count: int) -> None:
    assert len(list(rule(path, text))) == count
