"""Edits of `cluster.toml` in place: only the given keys change, comments stay, and a refused edit writes nothing."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from poolkeeper.cli import context, main
from poolkeeper.core import errors
from poolkeeper.model import source, toml_edit
from poolkeeper.model.tuning import Machine, Wish, WorkloadKind
from poolkeeper.operations import tune

TEXT = (Path(__file__).parents[3] / "cluster.toml").read_text(encoding="utf-8")
MACHINE = Machine(8, 32_000)
WISH = Wish(120, 2, WorkloadKind.MIXED)


def comments(text: str) -> list[str]:
    """Return every line that is a comment or empty, in order."""
    return [line for line in text.split("\n") if not line.strip() or line.lstrip().startswith("#")]


def changed(old: str, new: str) -> dict[str, Any]:
    """Return the differences: dotted key → new value."""
    return _changed(tomllib.loads(old), tomllib.loads(new), "")


def _changed(old: Any, new: Any, path: str) -> dict[str, Any]:
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return {} if old == new else {path: new}
    found: dict[str, Any] = {}
    for key in old | new:
        found |= _changed(old.get(key), new.get(key), f"{path}.{key}" if path else key)
    return found


@pytest.mark.parametrize(
    ("on", "wish"), [(MACHINE, WISH), (Machine(2, 24_000), Wish()), (Machine(2, 8_000), Wish(9, 1))]
)
def test_a_proposal_changes_its_own_keys_and_keeps_every_comment(tmp_path: Path, on: Machine, wish: Wish) -> None:
    made = tune.proposal(context.ClusterFile(_file(tmp_path)).cluster, on, wish)
    after = tune.edited(TEXT, made)
    assert comments(after) == comments(TEXT)
    assert changed(TEXT, after) == {choice.key: choice.proposed for choice in made.changes}
    assert source.load(after) == made.spec


def _file(folder: Path, text: str = TEXT) -> Path:
    path = folder / "cluster.toml"
    path.write_text(text)
    path.chmod(0o640)
    return path


FORMS: tuple[tuple[str, str, str], ...] = (
    ("a comment after the value", "[a.b]\nc = 1  # one\n", "[a.b]\nc = 2  # one\n"),
    ("text with a # in it", '[a.b]\nc = "x # y" # z\n', "[a.b]\nc = 2 # z\n"),
    (
        "a missing key",
        "[a.b]\n# head\nd = 1\n# tail\n\n[e]\n",
        "[a.b]\n# head\nd = 1\nc = 2\n# tail\n\n[e]\n",
    ),
    ("an empty table", "[a.b]\n\n[e]\n", "[a.b]\nc = 2\n\n[e]\n"),
    ("a missing table", "[e]\nf = 1\n", "[e]\nf = 1\n\n[a.b]\nc = 2\n"),
    ("an empty file", "", "\n[a.b]\nc = 2\n"),
    ("no line end at the end", "[e]\nf = 1", "[e]\nf = 1\n\n[a.b]\nc = 2\n"),
    ("a dotted key", "a.b.c = 1\n", "a.b.c = 2\n"),
    ("line ends of two characters", "[a.b]\r\nc = 1 # x\r\nd = 1\r\n", "[a.b]\r\nc = 2 # x\r\nd = 1\r\n"),
    ("a quoted key", '[a.b]\n"c" = 1\n', '[a.b]\n"c" = 2\n'),
    ("a byte-order mark", "\ufeff[a.b]\nc = 1\n", "\ufeff[a.b]\nc = 2\n"),
)


@pytest.mark.parametrize(("form", "old", "new"), FORMS, ids=[form for form, _, _ in FORMS])
def test_forms_that_are_edited(form: str, old: str, new: str) -> None:
    assert toml_edit.put(old, {("a", "b", "c"): 2}) == new, form


BY_HAND: tuple[tuple[str, str], ...] = (
    ("a value over several lines", '[a.b]\nc = """x\ny"""\n'),
    ("an inline table", "a = { b = { c = 1 } }\n"),
    ("an inline table without the key", "a = { b = { d = 1 } }\n"),
    ("a list in place of a table", "[[a]]\nb = 1\n"),
    ("a value in place of a table", "[a]\nb = 1\n"),
    ("a table made of dotted keys", "[a]\nb.d = 1\n"),
)


@pytest.mark.parametrize(("form", "old"), BY_HAND, ids=[form for form, _ in BY_HAND])
def test_forms_that_are_not_edited(form: str, old: str) -> None:
    with pytest.raises(errors.OperationRefused, match="nothing was written"):
        toml_edit.put(old, {("a", "b", "c"): 2})
    assert tomllib.loads(old), form


VALUES = st.one_of(
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(blacklist_categories=("Cs", "Cc"), blacklist_characters="\u2028\u2029\x85"), max_size=30),
)


@given(VALUES)
def test_a_literal_reads_as_its_value(value: Any) -> None:
    assert tomllib.loads(f"key = {toml_edit.literal(value)}")["key"] == value


@given(st.dictionaries(st.sampled_from(list(tomllib.loads(TEXT)["postgresql"]["parameters"])), VALUES), VALUES)
def test_any_values_in_the_default_file(values: dict[str, Any], one: Any) -> None:
    """The edit changes only those keys, and keeps every comment."""
    wanted: dict[tuple[str | int, ...], Any] = {("postgresql", "parameters", n): value for n, value in values.items()}
    wanted |= {("postgresql", "parameters", "work_mem"): one}
    after = toml_edit.put(TEXT, wanted)
    assert comments(after) == comments(TEXT)
    before = tomllib.loads(TEXT)["postgresql"]["parameters"]
    assert tomllib.loads(after)["postgresql"]["parameters"] == {**before, **values, "work_mem": one}


def run(*words: str) -> Any:
    """Run a poolkeeper command line in this process."""
    return CliRunner().invoke(main.app, list(words))


ASKED = ("--cores", "8", "--memory", "32", "--clients", "120", "--pairs", "2", "--workload", "mixed")


def test_write_edits_the_file_once_and_keeps_its_mode(tmp_path: Path) -> None:
    path = _file(tmp_path)
    done = run("--file", str(path), "tune", *ASKED, "--write")
    assert done.exit_code == 0, done.output
    after = path.read_text()
    assert source.load(after).endpoints.rw.max_pool == 2
    assert comments(after) == comments(TEXT)
    assert path.stat().st_mode & 0o777 == 0o640
    assert sorted(p.name for p in tmp_path.iterdir()) == ["cluster.toml"]
    again = run("--file", str(path), "tune", *ASKED, "--write")
    assert path.read_text() == after
    assert "has these values already" in again.stderr


def test_the_owner_of_the_file_stays(tmp_path: Path) -> None:
    path = _file(tmp_path)
    if os.geteuid() != 0:
        pytest.skip("only root can give a file away")
    os.chown(path, 12345, 12345)
    assert run("--file", str(path), "tune", *ASKED, "--write").exit_code == 0
    assert (path.stat().st_uid, path.stat().st_gid) == (12345, 12345)


def test_without_write_nothing_is_changed(tmp_path: Path) -> None:
    """The default output is the table; --diff prints the edit, --json everything."""
    path = _file(tmp_path)
    shown = run("--file", str(path), "tune", *ASKED)
    assert "endpoints.rw.num_init_children" in shown.stdout
    assert "restarts PostgreSQL on every node" in shown.stdout
    assert "\n+max_pool = 2" in run("--file", str(path), "tune", *ASKED, "--diff").stdout
    assert '"schema": 1' in run("--file", str(path), "tune", *ASKED, "--json").stdout
    assert path.read_text() == TEXT


def test_a_refused_proposal_writes_nothing(tmp_path: Path) -> None:
    path = _file(tmp_path)
    done = run("--file", str(path), "tune", "--memory", "1", "--clients", "100", "--write")
    assert isinstance(done.exception, SystemExit)
    assert done.exit_code == errors.ProposalRefused.exit_code
    assert path.read_text() == TEXT


def test_a_wrong_file_is_refused_first(tmp_path: Path) -> None:
    path = _file(tmp_path, TEXT.replace("max_connections = 500", "max_connections = 50"))
    done = run("--file", str(path), "tune", "--write")
    assert done.exit_code == errors.SpecError.exit_code


def test_two_kinds_of_output_are_a_wrong_command_line(tmp_path: Path) -> None:
    assert run("--file", str(_file(tmp_path)), "tune", "--write", "--json").exit_code == 2


def test_a_file_that_was_changed_meanwhile_is_left_alone(tmp_path: Path) -> None:
    path = _file(tmp_path)
    made = tune.proposal(context.ClusterFile(path).cluster, MACHINE, WISH)
    path.write_text(TEXT + "# mine\n")
    with pytest.raises(errors.OperationRefused, match="changed meanwhile"):
        tune.write(path, TEXT, made)
    assert path.read_text() == TEXT + "# mine\n"


def test_an_edit_that_breaks_a_rule_is_refused(tmp_path: Path) -> None:
    """The proposal was made for another file: its pools exceed the connections of this one."""
    path = _file(tmp_path)
    made = tune.proposal(context.ClusterFile(path).cluster, MACHINE, WISH)
    other = TEXT.replace("admin_connections = 20", "admin_connections = 1000").replace("= 500", "= 2000")
    path.write_text(other)
    with pytest.raises(errors.SpecError):
        tune.write(path, other, made)
    assert path.read_text() == other


def test_effects_are_those_of_the_plan(tmp_path: Path) -> None:
    """Each change alone has the effect that the plan of `up` gives."""
    cluster = context.ClusterFile(_file(tmp_path)).cluster
    effects = tune.proposal(cluster, Machine(64, 256_000), Wish(400, 2, WorkloadKind.REPORTING)).effects
    assert effects["endpoints.ro.num_init_children"] == "restarts pgpool_ro, reloads haproxy_pgpool"
    assert effects["endpoints.direct_ro.max_sessions"] == "reloads haproxy_pgpool"
    # The direct endpoints share the rest of the budget, so they change with a pool and with max_connections.
    assert effects["endpoints.balanced.max_pool"] == "restarts pgpool, reloads haproxy_pgpool"
    assert effects["postgresql.max_connections"] == "reloads haproxy_pgpool, restarts PostgreSQL on every node"
    assert effects["postgresql.parameters.shared_buffers"] == "restarts PostgreSQL on every node"
    assert effects["postgresql.parameters.work_mem"] == "PostgreSQL reloads, no session ends"
    assert effects["postgresql.shared_memory_mb"] == "re-creates every node"


def test_the_figures_of_this_machine_are_the_default() -> None:
    found = tune.machine_of(None, None)
    assert found.cores >= 1
    assert found.memory_mb > 100
    assert tune.machine_of(3, 1.5) == Machine(3, 1536)
