"""Which clusters a cut-off test run left behind (tests/leftovers.py), and which must not be touched."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tests import leftovers

RUN = "pytest-of-root/pytest-7"


def lock(temporary: Path, text: str) -> None:
    """Write a run's lock file."""
    (temporary / RUN).mkdir(parents=True)
    (temporary / RUN / ".lock").write_text(text, encoding="utf-8")


@pytest.mark.parametrize(("pid", "expected"), [("11", False), ("12", True), ("", True)])
def test_a_cluster_of_a_test_run_is_left_over_once_the_run_has_ended(tmp_path: Path, pid: str, expected: bool) -> None:
    """A lock that names a live run protects its cluster."""
    lock(tmp_path, pid)
    folder = str(tmp_path / RUN / "cluster0" / ".poolkeeper" / "rendered")
    assert leftovers.is_leftover("poolkeeper", folder, tmp_path, lambda found: found == 11) is expected


def test_a_run_without_a_lock_has_ended(tmp_path: Path) -> None:
    """Pytest removes the lock at a run's end, and perhaps the whole folder later."""
    assert leftovers.is_leftover("poolkeeper", str(tmp_path / RUN / "cluster0"), tmp_path, lambda _: True)


@pytest.mark.parametrize(
    "folder", ["", "/home/dba/cluster", "{}/cluster", "{}/pytest-of-root", "{}/pytest-of-root/mine"]
)
def test_a_cluster_of_no_test_run_is_never_touched(tmp_path: Path, folder: str) -> None:
    """A user's cluster may be anywhere, in the temporary folder too."""
    assert not leftovers.is_leftover("poolkeeper", folder.format(tmp_path), tmp_path, lambda _: False)


def test_a_label_names_its_run(tmp_path: Path) -> None:
    """Containers without a cluster are known by the process id in their label."""
    label = leftovers.label_of_run(11, "00ff")
    assert leftovers.is_leftover(label, "", tmp_path, lambda _: False)
    assert not leftovers.is_leftover(label, "", tmp_path, lambda found: found == 11)
    assert not leftovers.is_leftover("test-blue", "", tmp_path, lambda _: False)


def test_a_run_is_alive_while_its_process_is() -> None:
    """The process id of another program, as after a restart of the machine, is no live run."""
    argv = [sys.executable, "-c", "print(flush=True), input()", "pytest"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as run:
        assert run.stdout
        run.stdout.readline()  # during its exec a process has no command line
        assert leftovers.is_alive(run.pid)
    assert not leftovers.is_alive(run.pid)
    assert not leftovers.is_alive(1)
