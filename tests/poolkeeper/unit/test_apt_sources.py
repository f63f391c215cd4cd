"""The parser of apt's sources, in both formats, and the choice of a mirror from them."""

from __future__ import annotations

from pathlib import Path

import pytest

from poolkeeper.system import apt, apt_sources, base_image
from poolkeeper.system.apt_sources import Source

KEY = "/usr/share/keyrings/archive.gpg"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("deb http://m.example/debian bookworm main", Source("http://m.example/debian", "bookworm", ("main",))),
        (
            "  deb\thttp://m.example/debian   bookworm main contrib # ours",
            Source("http://m.example/debian", "bookworm", ("main", "contrib")),
        ),
        (
            f"deb [ arch=amd64,arm64 signed-by={KEY} ] http://m.example/d bookworm main",
            Source("http://m.example/d", "bookworm", ("main",), KEY, ("amd64", "arm64")),
        ),
        (
            "deb [signed-by=/a.gpg,/b.gpg trusted=yes]http://m.example/d bookworm main",
            Source("http://m.example/d", "bookworm", ("main",), "/a.gpg /b.gpg", (), True),
        ),
        ("deb http://m.example/flat ./", Source("http://m.example/flat", "./")),
    ],
)
def test_one_line(line: str, expected: Source) -> None:
    assert apt_sources.parse_one_line(line) == (expected,)


@pytest.mark.parametrize(
    "line", ["", "# deb http://m.example/d bookworm main", "deb-src http://m.example/d bookworm main", "deb", "deb x"]
)
def test_one_line_without_an_entry(line: str) -> None:
    assert apt_sources.parse_one_line(line) == ()


DEB822 = f"""# the archive
Types: deb deb-src
# http://old.example/debian
URIs: http://a.example/debian http://b.example/debian
Suites: bookworm
# in between
  bookworm-updates
Components: main contrib
Signed-By: {KEY}

Types: deb
URIs: http://s.example/security
suites: bookworm-security
Components: main
Architectures: amd64 arm64
Trusted: Yes


Enabled: no
Types: deb
URIs: http://off.example/debian
Suites: bookworm
Components: main

Types: deb-src
URIs: http://src.example/debian
Suites: bookworm
Components: main
"""


def test_deb822() -> None:
    parts = ("main", "contrib")
    assert apt_sources.parse_deb822(DEB822) == (
        Source("http://a.example/debian", "bookworm", parts, KEY),
        Source("http://a.example/debian", "bookworm-updates", parts, KEY),
        Source("http://b.example/debian", "bookworm", parts, KEY),
        Source("http://b.example/debian", "bookworm-updates", parts, KEY),
        Source("http://s.example/security", "bookworm-security", ("main",), "", ("amd64", "arm64"), True),
    )


@pytest.mark.parametrize("word", ["no", "No", "false", "0", "off", "disable"])
def test_every_word_for_disabled(word: str) -> None:
    assert apt_sources.parse_deb822(DEB822.replace("Types: deb\n", f"Enabled: {word}\nTypes: deb\n"))[4:] == ()


EMBEDDED = """Types: deb
URIs: http://a.example/debian
Suites: trixie
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 mQINBF
 -----END PGP PUBLIC KEY BLOCK-----
"""


def test_a_key_written_in_place_survives_the_round_trip() -> None:
    (source,) = apt_sources.parse_deb822(EMBEDDED)
    assert source.key_file == ""
    assert apt_sources.parse_deb822(source.as_deb822()) == (source,)
    assert " mQINBF\n" in source.as_deb822()


@pytest.mark.parametrize("signed_by", ["", KEY, "/a.gpg /b.gpg"])
def test_round_trips(signed_by: str) -> None:
    source = Source("http://m.example/d", "trixie", ("main",), signed_by, (), True)
    assert apt_sources.parse_deb822(source.as_deb822()) == (source,)
    if source.key_file == signed_by:
        assert apt_sources.parse_one_line(source.as_one_line()) == (source,)


def test_find_takes_the_exact_suite_with_main_for_this_architecture() -> None:
    wanted = Source("http://right.example", "bookworm", ("main",))
    sources = (
        Source("http://1.example", "bookworm-updates", ("main",)),
        Source("http://2.example", "bookworm-security", ("main",)),
        Source("http://3.example", "bookworm", ("stable",)),
        Source("http://4.example", "bookworm", ("main",), "", ("arm64",)),
        wanted,
    )
    assert apt_sources.find(sources, "bookworm", "amd64") == wanted
    assert apt_sources.find(sources, "bookworm", "arm64") == sources[3]
    assert apt_sources.find(sources, "trixie") is None


def test_read_takes_the_files_that_apt_takes(tmp_path: Path) -> None:
    (tmp_path / "mirrors").write_text("# ours\nhttp://near.example/debian priority:1\nhttp://far.example/debian\n")
    (tmp_path / "sources.list").write_text("deb cdrom:[Debian]/ bookworm main\ndeb http://1.example bookworm main\n")
    parts = tmp_path / "parts"
    parts.mkdir()
    (parts / "a.list").write_text("deb http://2.example bookworm main\n")
    (parts / "b.sources").write_text(
        f"Types: deb\nURIs: mirror+file:{tmp_path}/mirrors\nSuites: bookworm\nComponents: main\n"
    )
    (parts / "c.list.disabled").write_text("deb http://off.example bookworm main\n")
    found = apt_sources.read(tmp_path / "sources.list", parts)
    assert [source.uri for source in found] == ["http://1.example", "http://2.example", "http://near.example/debian"]


def test_read_of_nothing_is_nothing(tmp_path: Path) -> None:
    assert apt_sources.read(tmp_path / "absent", tmp_path / "absent.d") == ()


def test_private_configuration_names_no_file_of_the_machine(tmp_path: Path) -> None:
    paths = [value for option in apt.private_options(tmp_path) if (value := option.split("=", 1)[1]).startswith("/")]
    assert paths
    assert all(path == "/dev/null" or path.startswith(str(tmp_path)) for path in paths)


def test_base_image_asks_the_machines_own_mirrors() -> None:
    machine = apt_sources.parse_deb822(DEB822)
    chosen = base_image.choose_sources(machine, "bookworm", "trixie", "amd64")
    assert [(source.uri, source.suite) for source in chosen] == [
        ("http://a.example/debian", "trixie"),
        ("http://a.example/debian", "trixie-updates"),
        ("http://s.example/security", "trixie-security"),
    ]
    command = base_image.command("trixie", Path("/x/base.tar"), chosen)
    assert command[-5:-3] == ["trixie", "/x/base.tar"]
    assert command[-3:] == [source.as_one_line() for source in chosen]


def test_base_image_without_a_mirror_of_its_own_takes_the_default() -> None:
    only_security = (Source("http://s.example", "bookworm-security", ("main",)),)
    assert base_image.choose_sources(only_security, "bookworm", "trixie") == ()
    assert base_image.command("trixie", Path("/x/base.tar"), ())[-2:] == ["trixie", "/x/base.tar"]


def test_base_image_carries_a_key_of_its_own_and_certificates_for_https() -> None:
    command = base_image.command(
        "trixie", Path("/b.tar"), (Source("https://m.example", "trixie", ("main",), "/k.gpg"),)
    )
    assert "--customize-hook=upload /k.gpg /k.gpg" in command
    assert "--include=ca-certificates" in command
