"""The writer: complete files or none, errors that name the place and the next step, and the last run read back."""

from __future__ import annotations

import errno
import os
from dataclasses import replace
from pathlib import Path

import pytest
from tests.poolkeeper.unit.report_sample import SAMPLE

from poolkeeper.core.errors import DiskFull, PermissionRefused, PoolkeeperError
from poolkeeper.model.verdict import Outcome
from poolkeeper.report import writer
from poolkeeper.suite import report_files

OUTCOMES = {"node_status.pg_node1": "pass", "replication.streaming": "fail", "haproxy.stats": "unknown"}
AGAIN = replace(SAMPLE, verdicts=tuple(replace(v, outcome=Outcome.PASS) for v in SAMPLE.verdicts))


def names(directory: Path) -> list[str]:
    """Return the names in the directory."""
    return sorted(path.name for path in directory.iterdir())


def test_four_reports_and_nothing_else(tmp_path: Path) -> None:
    paths = report_files.write_all(SAMPLE, tmp_path / "new" / "reports")
    assert [path.suffix for path in paths] == [".md", ".html", ".xml", ".json"]
    assert names(tmp_path / "new" / "reports") == sorted(path.name for path in paths)
    assert all(path.stat().st_size > 0 for path in paths)


def test_the_run_before_is_kept_once(tmp_path: Path) -> None:
    for suite in (SAMPLE, AGAIN, AGAIN):
        report_files.write_all(suite, tmp_path)
    report_files.write_all(SAMPLE, tmp_path)
    previous = tmp_path / "pgpool-validation.previous.json"
    assert len(names(tmp_path)) == 5
    assert '"outcome": "fail"' not in previous.read_text(encoding="utf-8")
    assert report_files.last_outcomes(tmp_path).outcomes == OUTCOMES


def test_no_former_report(tmp_path: Path) -> None:
    assert report_files.last_outcomes(tmp_path) == ({}, "")
    assert report_files.last_outcomes(tmp_path / "absent") == ({}, "")


@pytest.mark.parametrize("damage", [b"", b"{", b"\xff\xfe", b'{"schema": 9, "groups": []}'])
def test_a_damaged_report_is_none_with_a_note(tmp_path: Path, damage: bytes) -> None:
    path = report_files.write_all(SAMPLE, tmp_path)[3]
    path.write_bytes(damage)
    outcomes, note = report_files.last_outcomes(tmp_path)
    assert outcomes == {}
    assert str(path) in note
    assert "damaged" in note
    report_files.write_all(SAMPLE, tmp_path)
    assert report_files.last_outcomes(tmp_path) == (OUTCOMES, "")
    assert not (tmp_path / "pgpool-validation.previous.json").exists()


def test_a_report_that_cannot_be_read_is_none_with_a_note(tmp_path: Path) -> None:
    (tmp_path / "pgpool-validation.json").mkdir()
    assert "Is a directory" in report_files.last_outcomes(tmp_path).note


def test_a_directory_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "reports").write_text("x")
    with pytest.raises(PoolkeeperError) as caught:
        report_files.write_all(SAMPLE, tmp_path / "reports")
    assert str(tmp_path / "reports") in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.EACCES, PermissionRefused),
        (errno.EPERM, PermissionRefused),
        (errno.EROFS, PermissionRefused),
        (errno.ENOSPC, DiskFull),
        (errno.EDQUOT, DiskFull),
        (errno.EIO, PoolkeeperError),
    ],
)
def test_a_refused_write_leaves_the_former_reports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, kind: type[PoolkeeperError]
) -> None:
    former = {path: path.read_bytes() for path in report_files.write_all(SAMPLE, tmp_path)}

    def refuse(_descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(kind) as caught:
        report_files.write_all(AGAIN, tmp_path)
    assert type(caught.value) is kind
    assert str(tmp_path) in caught.value.message
    assert os.strerror(number) in caught.value.message
    assert caught.value.hint
    assert {path: path.read_bytes() for path in former} == former
    assert names(tmp_path) == sorted(path.name for path in former)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_disk_that_is_really_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "_write_new", lambda _path, text: Path("/dev/full").write_text(text, encoding="utf-8"))
    with pytest.raises(DiskFull):
        report_files.write_all(SAMPLE, tmp_path)
