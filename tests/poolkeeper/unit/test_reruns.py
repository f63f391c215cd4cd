"""The plugin that names tests which needed a second run: real runs of pytest over tests that fail once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
FLAKY = """
import pathlib

def once(name):
    mark = pathlib.Path(__file__).parent / name
    if not mark.exists():
        mark.write_text("")
        raise AssertionError("the first run fails")
"""


@pytest.mark.parametrize(("count", "code"), [(0, 0), (2, 0), (3, 1)])
def test_too_many_second_runs_fail_the_run(tmp_path: Path, count: int, code: int) -> None:
    tests = "".join(f"\n\ndef test_{number}():\n    once('{number}')\n" for number in range(count))
    (tmp_path / "test_flaky.py").write_text(f"{FLAKY}{tests}\n\ndef test_good():\n    pass\n")
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "reruns.py").write_text((ROOT / "tests" / "reruns.py").read_text())
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--reruns", "1", "-p", "tests.reruns", "test_flaky.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stdout
    listed = tmp_path / "artifacts" / "reruns.txt"
    assert len(listed.read_text().splitlines() if listed.exists() else []) == count
    assert (f"{count} tests needed a second run" in done.stdout) is (count > 0)
