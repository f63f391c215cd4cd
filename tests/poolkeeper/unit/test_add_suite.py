"""The script of Pgpool-II's image that adds another Debian suite, with a simulated apt-get."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from poolkeeper.system import images

SCRIPT = images.SOURCES / "pgpool/add_suite.sh"
KEYS = "/usr/share/keyrings/debian-archive-keyring.gpg"
EXPIRED = "E: Release file for http://deb/debian/dists/forky/InRelease is expired (invalid since 24d 19h 22min 51s)."
OTHER_EXPIRED = EXPIRED.replace("forky", "trixie")
UNREACHABLE = "E: Failed to fetch http://deb/debian/dists/forky/InRelease  Connection refused"
APT_GET = """#!/bin/sh
echo "$*" >> "$FAKE/calls"
case "$1" in
    indextargets) cat "$FAKE/targets" ;;
    update) grep -q 'check-valid-until=yes' "$ROOT"/etc/apt/sources.list.d/*.list || exit 0
            cat "$FAKE/update"; exit "$(cat "$FAKE/code")" ;;
esac
"""


@dataclass(frozen=True)
class Image:
    """A root folder with the script and the simulated apt-get."""

    root: Path
    fake: Path

    def run(self, base: str = "trixie", suite: str = "forky") -> subprocess.CompletedProcess[str]:
        """Run the script; its absolute paths lead into the root folder."""
        script = SCRIPT.read_text(encoding="utf-8").replace("/etc/apt", f"{self.root}/etc/apt")
        environment = {
            "PATH": f"{self.fake}:{os.environ['PATH']}",
            "FAKE": str(self.fake),
            "ROOT": str(self.root),
        }
        argv = ["sh", "-c", script, "add_suite.sh", base, suite]
        return subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)

    @property
    def source(self) -> str:
        """The suite's entry."""
        return (self.root / "etc/apt/sources.list.d/poolkeeper-forky.list").read_text(encoding="utf-8")


@pytest.fixture
def image(tmp_path: Path) -> Image:
    """An image whose archive answers, with a Release file that is valid."""
    made = Image(tmp_path / "root", tmp_path / "fake")
    for folder in ("sources.list.d", "preferences.d"):
        (made.root / "etc/apt" / folder).mkdir(parents=True)
    made.fake.mkdir()
    (made.fake / "apt-get").write_text(APT_GET, encoding="utf-8")
    (made.fake / "apt-get").chmod(0o755)
    answer(made, "", 0)
    targets = f"http://deb/debian/ {KEYS} contrib\nhttp://deb/debian/ {KEYS} main\nhttp://other/ {KEYS} main\n"
    (made.fake / "targets").write_text(targets, encoding="utf-8")
    return made


def answer(image: Image, output: str, code: int) -> None:
    """Set what `apt-get update` prints and returns while Release files are checked for their age."""
    (image.fake / "update").write_text(output, encoding="utf-8")
    (image.fake / "code").write_text(str(code), encoding="utf-8")


def test_the_suite_comes_from_the_bases_archive_with_its_keys(image: Image) -> None:
    done = image.run()
    assert done.returncode == 0, done.stderr
    assert image.source == f"deb [check-valid-until=yes signed-by={KEYS}] http://deb/debian/ forky main\n"
    preferences = (image.root / "etc/apt/preferences.d/poolkeeper-forky").read_text(encoding="utf-8")
    assert preferences == "Package: *\nPin: release n=forky\nPin-Priority: 100\n"
    assert "poolkeeper:" not in done.stdout


def test_an_archive_without_a_named_key_gets_none(image: Image) -> None:
    """The base's default keyring then holds, as it does for the base's own suite."""
    (image.fake / "targets").write_text("http://deb/debian/  main\n", encoding="utf-8")
    assert image.run().returncode == 0
    assert image.source == "deb [check-valid-until=yes] http://deb/debian/ forky main\n"


def test_an_expired_release_file_is_announced_and_accepted(image: Image) -> None:
    answer(image, EXPIRED, 100)
    done = image.run()
    assert done.returncode == 0, done.stderr
    assert "check-valid-until=no" in image.source
    notes = [line for line in done.stdout.splitlines() if line.startswith("poolkeeper: ")]
    assert notes == [
        "poolkeeper: the mirror's Release file of forky expired 24d 19h 22min 51s ago; accepted for Pgpool-II only"
    ]


@pytest.mark.parametrize("output", [UNREACHABLE, OTHER_EXPIRED, "E: The repository is not signed."])
def test_any_other_failure_ends_the_build(image: Image, output: str) -> None:
    """Also an expired Release file of the base's own suite."""
    answer(image, output, 100)
    done = image.run()
    assert done.returncode != 0
    assert output in done.stdout
    assert "check-valid-until=no" not in image.source


def test_the_same_suite_adds_nothing(image: Image) -> None:
    assert image.run(suite="trixie").returncode == 0
    assert not (image.fake / "calls").exists()


def test_a_base_without_a_source_is_an_error(image: Image) -> None:
    (image.fake / "targets").write_text("", encoding="utf-8")
    done = image.run()
    assert done.returncode == 1
    assert "no source of the suite trixie" in done.stderr
