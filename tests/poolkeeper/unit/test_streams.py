"""Output never fails because of an encoding, a closed stream, or a reader that is gone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import poolkeeper
from poolkeeper.cli import streams, user_commands
from poolkeeper.core import errors

SOURCES = Path(poolkeeper.__file__).parents[1]
SHOW = r"""
import sys
from poolkeeper.cli import main
def app():
    from poolkeeper.cli import console
    from poolkeeper.core import errors
    with console.ConsoleSteps().step("starting \u2026 \u2192"):
        console.out.print("\u2714 a \u2192 b \u2026 \u4e2d")
    console.report(errors.PoolkeeperError("cannot \u2026", hint="\u2192 do"))
    sys.stdout.write("\u2026 done \udcff\n")
    sys.exit(3)
main.app = app
main.run()
"""
# PYTHONUTF8=0 and PYTHONCOERCECLOCALE=0: Python itself would otherwise replace the locale C by UTF-8.
STRICT = {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
POOR = [
    {"PYTHONIOENCODING": "ascii"},
    {"PYTHONIOENCODING": "ascii:strict"},
    {"PYTHONIOENCODING": "latin-1"},
    {"PYTHONIOENCODING": "cp1252"},
    {"LC_ALL": "POSIX"},
    {"LC_ALL": "C"},
    {"LC_ALL": "POSIX", **STRICT},
    {"LC_ALL": "", "LANG": "C", **STRICT},
]


def shell(more: dict[str, str]) -> dict[str, str]:
    """Return the environment of a program with these variables."""
    usual = {key: value for key, value in os.environ.items() if not key.startswith(("LC_", "PYTHON")) and key != "LANG"}
    return {**usual, "PYTHONPATH": str(SOURCES), **more}


def names(given: object) -> str:
    """Return a parameter as the name of its test."""
    return " ".join(f"{key}={value}" for key, value in given.items()) if isinstance(given, dict) else str(given)


@pytest.mark.parametrize("variables", POOR, ids=names)
def test_what_an_encoding_lacks_is_replaced(variables: dict[str, str]) -> None:
    done = subprocess.run([sys.executable, "-c", SHOW], env=shell(variables), capture_output=True, check=False)
    assert (done.returncode, b"Traceback" in done.stderr) == (3, False), done.stderr.decode()
    assert b" a " in done.stdout
    assert b" done ?" in done.stdout
    assert b"error: cannot " in done.stderr


def test_ascii_has_plain_forms() -> None:
    variables = {"PYTHONIOENCODING": "ascii"}
    done = subprocess.run([sys.executable, "-c", SHOW], env=shell(variables), capture_output=True, check=False)
    assert done.stdout.decode("ascii").splitlines() == ["+ a -> b ... ?", "... done ?"]


@pytest.mark.parametrize("locale", POOR, ids=names)
def test_a_command_reads_utf8_files_in_every_locale(tmp_path: Path, locale: dict[str, str]) -> None:
    """`init`, a comment with umlauts, and `render`: as the operator's editor saved the file."""
    program = [sys.executable, "-m", "poolkeeper.cli.main"]
    subprocess.run([*program, "init"], cwd=tmp_path, env=shell(locale), check=True, capture_output=True)
    with (tmp_path / "cluster.toml").open("a", encoding="utf-8") as file:
        file.write("# für Jürgen → …\n")
    done = subprocess.run([*program, "render"], cwd=tmp_path, env=shell(locale), check=False, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_a_closed_stream_is_no_error(tmp_path: Path, closed: str) -> None:
    """No file of ours takes the number of a closed stream."""
    script = f'exec "$@" {closed}'
    argv = ["sh", "-c", script, "sh", sys.executable, "-m", "poolkeeper.cli.main", "init"]
    done = subprocess.run(argv, cwd=tmp_path, env=shell({}), capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    assert b"Traceback" not in done.stderr
    assert (tmp_path / "cluster.toml").read_text(encoding="utf-8").startswith("#")


LONG = 'console.out.print("line\\n" * 100_000)'
SHORT = 'console.out.print("line")'
PLAIN_WRITE = 'sys.stdout.write("line\\n")'
PROGRESS = 'console.err.print("step\\n" * 100_000); open("done", "w", encoding="utf-8").close()'
COMMAND = """
import sys
import typer
from poolkeeper.cli import console
def add_to(app: typer.Typer) -> None:
    app.command("write")(write)
def write() -> None:
    {}
    raise typer.Exit(1)
"""


def path(folder: Path) -> dict[str, str]:
    """Return the variable by which Python finds the command in this folder."""
    return {"PYTHONPATH": f"{SOURCES}{os.pathsep}{folder}"}


def program(code: str, folder: Path) -> list[str]:
    """Write a command as another package's into the folder; return its command line."""
    (folder / "written.py").write_text(COMMAND.format(code), encoding="utf-8")
    about = folder / "written-1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: written\nVersion: 1\n", encoding="utf-8")
    (about / "entry_points.txt").write_text("[poolkeeper.commands]\nwrite = written:add_to\n", encoding="utf-8")
    return [sys.executable, "-m", "poolkeeper.cli.main", "write"]


def without_reader(code: str, folder: Path, stream: str) -> subprocess.CompletedProcess[bytes]:
    """Run a command whose output goes into a pipe that nothing reads any more."""
    argv = program(code, folder)
    reader, writer = os.pipe()
    os.close(reader)
    try:
        channels = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, stream: writer}
        return subprocess.run(argv, cwd=folder, env=shell(path(folder)), check=False, stdin=None, **channels)  # type: ignore[call-overload,no-any-return]
    finally:
        os.close(writer)


@pytest.mark.parametrize("code", [LONG, SHORT, PLAIN_WRITE], ids=["long", "short", "plain"])
def test_a_reader_that_is_gone_ends_the_command_quietly(tmp_path: Path, code: str) -> None:
    """As with `poolkeeper status | head -1`."""
    done = without_reader(code, tmp_path, "stdout")
    assert done.stderr == b""
    assert done.returncode in (1, 141)  # what the command said, or that it was cut off


def test_a_command_continues_without_a_reader_of_its_progress(tmp_path: Path) -> None:
    """As with `poolkeeper up 2>&1 | head -1`: a start that is cut off would leave half a cluster."""
    assert without_reader(PROGRESS, tmp_path, "stderr").returncode == 1
    assert (tmp_path / "done").exists()


@pytest.mark.parametrize("code", [LONG, SHORT, PLAIN_WRITE], ids=["long", "short", "plain"])
def test_a_full_disk_is_reported(tmp_path: Path, code: str) -> None:
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = subprocess.run(
            program(code, tmp_path), env=shell(path(tmp_path)), stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert done.returncode == 25
    assert done.stderr.decode() == "error: the output cannot be written: No space left on device\n"


def test_a_password_on_standard_input_is_utf8_in_every_locale() -> None:
    code = 'import sys\nfrom poolkeeper.cli import streams\nstreams.prepare()\nassert sys.stdin.read() == "p\\u00e4ss"'
    for variables in POOR:
        subprocess.run([sys.executable, "-c", code], env=shell(variables), input="päss".encode(), check=True)


def test_every_plain_form_is_ascii() -> None:
    assert all(form.isascii() and form for form in streams.PLAIN.values())


def test_a_typed_password_that_the_locale_lacks_is_refused_with_a_hint(monkeypatch: pytest.MonkeyPatch) -> None:
    def prompt(*_: object, **__: object) -> str:
        return b"\xc3\xa4".decode("ascii")

    monkeypatch.setattr("typer.prompt", prompt)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    with pytest.raises(errors.DatabaseUserError, match="locale") as caught:
        user_commands._password(False, False)
    assert "--password-stdin" in (caught.value.hint or "")
