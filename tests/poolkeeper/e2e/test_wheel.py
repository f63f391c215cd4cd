"""The wheel alone, as a user installs it: in an empty folder `init` and `up` give a healthy cluster.

The wheel is built from a copy of the sources and installed by pip into an environment of its own. Its dependencies are
those of the test environment, so that no package index is needed; the checkout's own sources are on no path.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
NAME = "wheel"
INIT = ("init", "--name", NAME, "--subnet", "10.219.9.0/24", "--port-offset", "20000")
_BASE = str(Path(sys.base_prefix) / "bin" / "python3")
# The test environment's own pip, or that of the Python it was made from (setup.sh makes it with either).
PIP = (sys.executable if find_spec("pip") else _BASE, "-m", "pip", "--disable-pip-version-check", "--no-input")


def run(argv: Sequence[str], folder: Path, seconds: float = 300) -> str:
    """Run a program in a folder, without the tests' sources on its path; its standard output."""
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "POOLKEEPER_FILE")}
    done = subprocess.run(
        argv, cwd=folder, env=environment, capture_output=True, text=True, timeout=seconds, check=False
    )
    assert done.returncode == 0, f"{' '.join(argv)} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def poolkeeper(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The installed program."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
    shutil.copytree(ROOT / "src", folder / "src", ignore=ignored)
    build = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"
    run([sys.executable, "-c", build, str(folder / "dist")], folder)
    (wheel,) = (folder / "dist").glob("*.whl")

    environment = folder / "environment"
    run([sys.executable, "-m", "venv", "--without-pip", str(environment)], folder)
    python = str(environment / "bin" / "python")
    run([*PIP, "--python", python, "install", "--quiet", "--no-index", "--no-deps", str(wheel)], folder)
    site = run([python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], folder).strip()
    # The path file of an editable installation is not followed from here, so the sources of the checkout stay unseen.
    (Path(site) / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    where = run([python, "-c", "import poolkeeper; print(poolkeeper.__file__)"], folder).strip()
    assert where.startswith(str(environment)), f"not the wheel's: {where}"
    return environment / "bin" / "poolkeeper"


@pytest.fixture
def folder(poolkeeper: Path, tmp_path: Path) -> Iterator[Path]:
    """An empty folder; a cluster that was declared there is removed at the end."""
    empty = tmp_path / "empty"
    empty.mkdir()
    yield empty
    if (empty / "cluster.toml").exists():
        run([str(poolkeeper), "down", "--purge"], empty)


@pytest.mark.timeout(600)
def test_the_wheel_alone_starts_a_cluster(poolkeeper: Path, folder: Path) -> None:
    run([str(poolkeeper), *INIT], folder)
    run([str(poolkeeper), "up"], folder)
    assert json.loads(run([str(poolkeeper), "status", "--json"], folder))["level"] == "healthy"
    run([str(poolkeeper), "test", "--only", "3", "--only", "4"], folder)
    assert "kill_node" in run([str(poolkeeper), "drill", "--list"], folder), "the lab is part of the wheel"
