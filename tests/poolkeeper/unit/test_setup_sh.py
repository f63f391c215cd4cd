"""setup.sh in a copy of its own with empty requirements: it needs no network, and each run takes about a second."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
STAMP = ".venv/.poolkeeper-stamp"
PROJECT = """[project]
name = "poolkeeper"
version = "0"

[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
"""
# The smallest build backend of PEP 660, so that a copy needs no network: one .pth file and one program.
BACKEND = """import pathlib
import zipfile

DIST = "poolkeeper-0.dist-info"
FILES = {
    "poolkeeper.pth": str(pathlib.Path("src").resolve()) + "\\n",
    f"{DIST}/METADATA": "Metadata-Version: 2.1\\nName: poolkeeper\\nVersion: 0\\n",
    f"{DIST}/WHEEL": "Wheel-Version: 1.0\\nGenerator: test\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
    f"{DIST}/entry_points.txt": "[console_scripts]\\npoolkeeper = poolkeeper.cli.main:run\\n",
    f"{DIST}/RECORD": "",
}


def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    name = "poolkeeper-0-py3-none-any.whl"
    with zipfile.ZipFile(pathlib.Path(wheel_directory) / name, "w") as wheel:
        for path, text in FILES.items():
            wheel.writestr(path, text)
    return name
"""


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    folder = tmp_path / "a copy"  # the space is on purpose
    (folder / "src/poolkeeper/cli").mkdir(parents=True)
    shutil.copy(ROOT / "setup.sh", folder)
    for name in ("requirements.txt", "requirements-dev.txt"):
        (folder / name).write_text("# nothing\n")
    (folder / "src/poolkeeper/cli/main.py").write_text("import sys\n\n\ndef run():\n    print(sys.argv[1:])\n")
    (folder / "backend.py").write_text(BACKEND)
    (folder / "pyproject.toml").write_text(PROJECT)
    return folder


def setup(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(folder / "setup.sh"), *words], capture_output=True, text=True, timeout=120, cwd="/", check=False
    )


def test_made_once_then_trusted_then_made_again_when_something_changed(copy: Path) -> None:
    first = setup(copy)
    assert first.returncode == 0, first.stdout + first.stderr
    assert "pip install" in first.stdout
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    launcher = [str(copy / ".venv/bin/poolkeeper"), "a", "b c"]
    program = subprocess.run(launcher, capture_output=True, text=True, env=environment, check=True)
    assert program.stdout == "['a', 'b c']\n"

    begin = time.monotonic()
    again = setup(copy)
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")
    assert time.monotonic() - begin < 1, "a current .venv costs next to nothing"

    (copy / "requirements.txt").write_text("# something else\n")
    assert "making .venv" in setup(copy).stdout
    moved = copy.rename(copy.parent / "moved")
    assert "making .venv" in setup(moved).stdout, "the launcher names its folder, so a moved copy is made again"


def test_failed_pip_is_shown_and_leaves_nothing(copy: Path) -> None:
    (copy / "requirements.txt").write_text("./nowhere\n")
    done = setup(copy)
    assert done.returncode == 1
    assert "nowhere" in done.stderr
    assert "pip config list" in done.stderr
    assert not (copy / ".venv").exists()


def test_killed_half_way_is_repaired_by_running_again(copy: Path) -> None:
    with subprocess.Popen([str(copy / "setup.sh")], stdout=subprocess.DEVNULL, start_new_session=True) as child:
        deadline = time.monotonic() + 60
        while not (copy / ".venv/pyvenv.cfg").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        os.killpg(child.pid, signal.SIGKILL)
    assert not (copy / STAMP).exists()
    assert "making .venv" in setup(copy).stdout
    assert (copy / STAMP).exists()


def test_unknown_word_and_missing_file_are_refused(copy: Path) -> None:
    assert setup(copy, "--what").returncode == 2
    (copy / "requirements-dev.txt").unlink()
    done = setup(copy)
    assert done.returncode == 1
    assert "complete copy" in done.stderr
