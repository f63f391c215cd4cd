"""The sources of this machine's packages: apt's configuration, in both of its formats, as values.

Invariant: only enabled `deb` entries count. Each pair of URI and suite gives one `Source`, in the order of the files.
The parsers are pure. Not promised: other options than the architectures, the keys and `trusted`; they are dropped.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

LIST_FILE = Path("/etc/apt/sources.list")
PARTS_FOLDER = Path("/etc/apt/sources.list.d")
_ONE_LINE = re.compile(r"deb\s+(?:\[(?P<options>[^]]*)]\s*)?(?P<uri>\S+)\s+(?P<suite>\S+)(?:\s+(?P<components>.+))?")
_NO = frozenset({"no", "false", "without", "off", "disable", "0"})  # apt's own values, StringToBool()
_YES = frozenset({"yes", "true", "with", "on", "enable", "1"})


@dataclass(frozen=True)
class Source:
    """One archive and suite. `signed_by` is a list of key files, or an inline key in deb822's continuation lines."""

    uri: str
    suite: str
    components: tuple[str, ...] = ()
    signed_by: str = ""
    architectures: tuple[str, ...] = ()
    is_trusted: bool = False

    @property
    def key_file(self) -> str:
        """The one key file that `signed_by` names; empty for none, for several and for an inline key."""
        return self.signed_by if self.signed_by.startswith("/") and len(self.signed_by.split()) == 1 else ""

    def with_suite(self, suite: str) -> Source:
        """Return the same archive with another suite."""
        return replace(self, suite=suite)

    def as_deb822(self) -> str:
        """Return the entry as a `.sources` file, for the component main only."""
        lines = ["Types: deb", f"URIs: {self.uri}", f"Suites: {self.suite}", "Components: main"]
        if self.signed_by:
            lines.append(f"Signed-By: {self.signed_by}")
        if self.is_trusted:
            lines.append("Trusted: yes")
        return "\n".join(lines) + "\n"

    def as_one_line(self) -> str:
        """Return the entry as a line of `sources.list`, for the component main only; an inline key is left out."""
        options = [f"signed-by={self.key_file}"] if self.key_file else []
        options += ["trusted=yes"] if self.is_trusted else []
        return " ".join(["deb", *([f"[{' '.join(options)}]"] if options else []), self.uri, self.suite, "main"])


def parse_one_line(text: str) -> tuple[Source, ...]:
    """Return the entries of a `.list` file."""
    found = (_ONE_LINE.fullmatch(line.split("#", 1)[0].strip()) for line in text.splitlines())
    return tuple(_from_match(match) for match in found if match)


def parse_deb822(text: str) -> tuple[Source, ...]:
    """Return the entries of a `.sources` file."""
    return tuple(source for stanza in _stanzas(text) for source in _from_stanza(stanza))


def find(sources: Iterable[Source], suite: str, architecture: str = "") -> Source | None:
    """Return the first entry for exactly this suite with component main and the architecture ("": any)."""
    for source in sources:
        serves = not (source.architectures and architecture) or architecture in source.architectures
        if source.suite == suite and "main" in source.components and serves:
            return source
    return None


def read(list_file: Path = LIST_FILE, parts: Path = PARTS_FOLDER) -> tuple[Source, ...]:
    """Return the entries of this machine, without CD-ROMs; `mirror+file:` is resolved to the first mirror in the file.

    A file that cannot be read counts as empty: without an entry the caller reports what is missing.
    """
    found = list(parse_one_line(_text(list_file)))
    for path in sorted(parts.glob("*")) if parts.is_dir() else []:
        if path.suffix == ".list":
            found += parse_one_line(_text(path))
        elif path.suffix == ".sources":
            found += parse_deb822(_text(path))
    return tuple(_resolved(source) for source in found if not source.uri.startswith("cdrom:"))


def _from_match(match: re.Match[str]) -> Source:
    pairs = (option.split("=", 1) for option in (match["options"] or "").split() if "=" in option)
    options = {key.lower(): value for key, value in pairs}
    return Source(
        uri=match["uri"],
        suite=match["suite"],
        components=tuple((match["components"] or "").split()),
        signed_by=options.get("signed-by", "").replace(",", " "),
        architectures=tuple(part for part in options.get("arch", "").split(",") if part),
        is_trusted=options.get("trusted", "").lower() in _YES,
    )


def _stanzas(text: str) -> Iterator[dict[str, str]]:
    """Yield each stanza's fields by lower-case name; a continuation keeps its line break and its leading space."""
    fields: dict[str, str] = {}
    name = ""
    for line in [*text.splitlines(), ""]:
        if line.startswith("#"):
            continue
        if not line.strip():
            if fields:
                yield fields
            fields, name = {}, ""
        elif line[0] in " \t" and name:
            fields[name] += "\n" + line.rstrip()
        elif ":" in line:
            key, value = line.split(":", 1)
            name = key.strip().lower()
            fields[name] = value.strip()


def _from_stanza(fields: dict[str, str]) -> Iterator[Source]:
    is_enabled = fields.get("enabled", "yes").lower() not in _NO
    if not is_enabled or "deb" not in fields.get("types", "").split():
        return
    for uri in fields.get("uris", "").split():
        for suite in fields.get("suites", "").split():
            yield Source(
                uri=uri,
                suite=suite,
                components=tuple(fields.get("components", "").split()),
                signed_by=_keys(fields.get("signed-by", "")),
                architectures=tuple(fields.get("architectures", "").split()),
                is_trusted=fields.get("trusted", "").lower() in _YES,
            )


def _keys(value: str) -> str:
    return value if "BEGIN PGP" in value else " ".join(value.replace(",", " ").split())


def _resolved(source: Source) -> Source:
    if not source.uri.startswith("mirror+file:"):
        return source
    mirrors = _text(Path("/" + source.uri.removeprefix("mirror+file:").lstrip("/"))).splitlines()
    first = next((line.split()[0] for line in mirrors if line.strip() and not line.startswith("#")), source.uri)
    return replace(source, uri=first)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
