"""The image tags: each depends on its own inputs, and on no other file."""

from __future__ import annotations

import shutil
from itertools import pairwise
from pathlib import Path

import pytest
from tests.poolkeeper.unit import deployments
from tests.poolkeeper.unit.snapshots import SPEC

import poolkeeper
from poolkeeper.core import errors
from poolkeeper.system import images, process, state

SOURCES = Path(poolkeeper.__file__).parent.parent


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Copy both packages into a folder that a test may edit."""
    for package in ("poolkeeper", "poolkeeper_lab"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(SOURCES / package, tmp_path / package, ignore=ignored)
    return tmp_path


def tags(tree: Path) -> dict[str, str]:
    """Return the references that the copied tree gives."""
    return images.references(SPEC, tree / "poolkeeper/images", tree / "poolkeeper")


def changed_roles(tree: Path, path: str) -> set[str]:
    """Append a line to a file; return the roles whose reference changes."""
    before = tags(tree)
    with (tree / path).open("a", encoding="utf-8") as file:
        file.write("# another line\n")
    after = tags(tree)
    return {role for role in images.ROLES if before[role] != after[role]}


def test_a_copy_of_the_tree_has_the_same_tags(tree: Path) -> None:
    assert tags(tree) == images.references(SPEC, images.SOURCES)


@pytest.mark.parametrize(
    ("path", "roles"),
    [
        ("poolkeeper_lab/__init__.py", set()),
        ("poolkeeper_lab/faults/host.py", set()),
        ("poolkeeper/images/postgres/Dockerfile", {"postgres"}),
        ("poolkeeper/images/postgres/supervisor.py", {"postgres"}),
        ("poolkeeper/images/pgpool/Dockerfile", {"pgpool"}),
        ("poolkeeper/images/keeper/Dockerfile", {"keeper"}),
        ("poolkeeper/__init__.py", {"keeper"}),
        ("poolkeeper/keeper/agent.py", {"keeper"}),
        ("poolkeeper/doctor/rules/rule.py", {"keeper"}),
    ],
)
def test_a_file_changes_only_the_tags_of_the_images_that_contain_it(tree: Path, path: str, roles: set[str]) -> None:
    """The lab and the other roles' folders are no part of the keeper's image."""
    assert changed_roles(tree, path) == roles


def test_a_new_file_of_the_lab_keeps_every_tag(tree: Path) -> None:
    before = tags(tree)
    (tree / "poolkeeper_lab/another.py").write_text("")
    assert tags(tree) == before


def test_a_new_file_of_the_product_changes_the_keepers_tag(tree: Path) -> None:
    before = tags(tree)
    (tree / "poolkeeper/another.py").write_text("")
    assert {role for role, tag in tags(tree).items() if tag != before[role]} == {"keeper"}


def test_the_suite_of_pgpool_changes_only_its_tag(tree: Path) -> None:
    spec = deployments.edit(SPEC, "images.pgpool_suite", "trixie")
    after = images.references(spec, tree / "poolkeeper/images", tree / "poolkeeper")
    assert {role for role, reference in tags(tree).items() if after[role] != reference} == {"pgpool"}


@pytest.mark.parametrize("number", ["", "#7 12.34 "])
def test_a_build_passes_its_notes_to_the_operator(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, number: str) -> None:
    """Both builders of Docker: BuildKit numbers the lines of a step. No other line is a note."""
    calls: list[list[str]] = []

    def run(argv: list[str], **_: object) -> process.Finished:
        calls.append(argv)
        text = f"{number}Get:1 poolkeeper: no\n{number}poolkeeper: a mirror lags\n{number}done"
        return process.Finished(tuple(argv), 0, text, "")

    monkeypatch.setattr(process, "run", run)
    said: list[str] = []
    images.build(SPEC, {"pgpool": "p/pgpool:1"}, "base", images.SOURCES, state.State(tmp_path), said.append)
    assert said == ["built p/pgpool:1", "  a mirror lags"]
    arguments = [word for flag, word in pairwise(calls[0]) if flag == "--build-arg"]
    assert arguments == ["BASE=base", "BASE_SUITE=trixie", "PGPOOL_SUITE=forky"]


def test_a_missing_dockerfile_is_refused(tree: Path) -> None:
    (tree / "poolkeeper/images/etcd/Dockerfile").unlink()
    with pytest.raises(errors.ImageFailed, match="etcd/Dockerfile is missing"):
        tags(tree)
