"""Properties of every file: a valid one is accepted, and any other ends in SpecError with lines of the file."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from poolkeeper.core.errors import SpecError
from poolkeeper.model import endpoint_keys, grammar, source, spec_rules, toml_lines
from poolkeeper.model.spec import ClusterSpec

TEXT = (Path(__file__).parents[3] / "cluster.toml").read_text(encoding="utf-8")
SERVICE_NAMES = st.from_regex(grammar.SERVICE, fullmatch=True).filter(
    lambda name: name not in grammar.RESERVED_SERVICES
)
SCALARS = st.one_of(
    st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(), st.text(max_size=20), st.dates(), st.just([])
)


@dataclass(frozen=True)
class Edit:
    """A valid cluster, with as many distinct names, addresses and ports as it needs."""

    cluster: str
    subnet: IPv4Network
    nodes: int
    members: int
    acknowledgements: int
    names: tuple[str, ...]
    offsets: tuple[int, ...]
    ports: tuple[int, ...]

    def text(self) -> str:
        names = iter(self.names)
        addresses = (str(self.subnet.network_address + offset) for offset in self.offsets)
        ports = iter(self.ports)
        lines = [f'name = "{self.cluster}"', f'network.subnet = "{self.subnet}"']
        lines += ["[replication]", f"quorum_acknowledgements = {self.acknowledgements}"]
        for _ in range(self.nodes):
            lines += ["[[nodes]]", *_entry("name", next(names), next(addresses)), f"port = {next(ports)}"]
        for _ in range(self.members):
            lines += ["[[etcd.members]]", *_entry("name", next(names), next(addresses))]
        for endpoint in endpoint_keys.POOLED:
            lines += [
                f"[endpoints.{endpoint}]",
                *_entry("service", next(names), next(addresses)),
                f"port = {next(ports)}",
            ]
        for endpoint in ("direct_rw", "direct_ro"):
            lines += [f"[endpoints.{endpoint}]", f"port = {next(ports)}"]
        lines += ["[haproxy]", *_entry("service", next(names), next(addresses))]
        lines += [f"{key}_port = {next(ports)}" for key in ("stats", "primary", "standby", "runtime")]
        lines += ["[keeper]", *_entry("service", next(names), next(addresses)), f"port = {next(ports)}"]
        return "\n".join(lines) + "\n"


def _entry(key: str, name: str, address: str) -> list[str]:
    return [f'{key} = "{name}"', f'address = "{address}"']


@st.composite
def subnets(draw: st.DrawFn) -> IPv4Network:
    base = draw(st.sampled_from(["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "198.18.0.0/15"]))
    outer = IPv4Network(base)
    length = draw(st.integers(outer.prefixlen, 27))
    index = draw(st.integers(0, 2 ** (length - outer.prefixlen) - 1))
    return IPv4Network((int(outer.network_address) + index * 2 ** (32 - length), length))


@st.composite
def edits(draw: st.DrawFn) -> Edit:
    nodes, members, subnet = draw(st.integers(2, 7)), draw(st.sampled_from([1, 3, 5])), draw(subnets())
    services = nodes + members + 5

    def distinct(values: st.SearchStrategy[Any], count: int) -> tuple[Any, ...]:
        return tuple(draw(st.lists(values, min_size=count, max_size=count, unique=True)))

    return Edit(
        cluster=draw(st.from_regex(r"[a-z][a-z0-9-]{0,21}", fullmatch=True)),
        subnet=subnet,
        nodes=nodes,
        members=members,
        acknowledgements=draw(st.integers(1, nodes - 1)),
        names=distinct(SERVICE_NAMES, services),
        offsets=distinct(st.integers(2, subnet.num_addresses - 2), services),
        ports=distinct(st.integers(1, 65535), nodes + 10),
    )


def _outcome(text: str | bytes) -> ClusterSpec | SpecError:
    try:
        return source.load(text)
    except SpecError as e:
        return e


def load(text: str | bytes) -> ClusterSpec | SpecError:
    """Return the outcome. Assert that each mistake has a key, a rule on one line, and a line of the text or none."""
    outcome = _outcome(text)
    if isinstance(outcome, SpecError):
        decoded = text if isinstance(text, str) else text.decode(errors="replace")
        last = len(decoded.split("\n"))
        assert outcome.mistakes
        for mistake in outcome.mistakes:
            assert mistake.line is None or 1 <= mistake.line <= last
            assert mistake.key
            assert mistake.rule
            assert "\n" not in mistake.key + mistake.rule
            assert "unreadable" not in mistake.rule or "unreadable" in decoded
        lines = [mistake.line or 10**9 for mistake in outcome.mistakes]
        assert lines == sorted(lines)
    return outcome


@given(edits())
@settings(deadline=None)
def test_a_valid_edit_is_accepted(edit: Edit) -> None:
    spec = source.load(edit.text())
    assert (len(spec.nodes), len(spec.etcd.members), spec.network.subnet) == (edit.nodes, edit.members, edit.subnet)
    assert set(spec.addresses()) == set(edit.names)
    assert all(len(spec.container_name(name)) <= spec_rules.MAX_CONTAINER_NAME for name in edit.names)


@given(edits(), st.data())
@settings(deadline=None)
def test_one_fault_in_a_valid_edit_is_the_only_mistake_and_on_its_line(edit: Edit, data: st.DataObject) -> None:
    lines = edit.text().split("\n")
    number = data.draw(
        st.sampled_from([i for i, line in enumerate(lines) if "address = " in line or "port = " in line])
    )
    key = lines[number].split(" = ")[0]
    lines[number] = f"{key} = {data.draw(st.sampled_from(['true', '-1', '[]']))}"
    outcome = load("\n".join(lines))
    assert isinstance(outcome, SpecError)
    assert [(m.line, m.key.endswith(key)) for m in outcome.mistakes] == [(number + 1, True)]


@given(st.text())
@example("\x00")
@example("a = 1\r")
@example("a.b.c = 1\na.b = 2")
@example("[[nodes]]\n[nodes.x]\n[[nodes]]\n[nodes.x]")
@example("x = " + "{a = " * 400 + "1" + "}" * 400)
def test_any_text_loads_or_is_refused(text: str) -> None:
    load(text)


@given(st.binary())
def test_any_bytes_load_or_are_refused(data: bytes) -> None:
    load(data)


@given(st.lists(st.sampled_from([*"[]{}=,.\"'\n #\\", '"""', "'''", "nodes", "etcd", "members", "name", "1", "true"])))
@settings(max_examples=200)
def test_any_tokens_load_or_are_refused(tokens: list[str]) -> None:
    load("".join(tokens))


def _toml(value: object) -> str:
    if isinstance(value, str):
        return '"' + "".join(f"\\U{ord(char):08x}" for char in value) + '"'
    return str(value).lower() if isinstance(value, bool | float) else str(value)


@given(st.data(), st.integers(1, 4))
@settings(deadline=None, max_examples=100)
def test_any_value_for_any_key_loads_or_is_refused_with_that_line(data: st.DataObject, count: int) -> None:
    lines = TEXT.split("\n")
    settable = [i for i, line in enumerate(lines) if " = " in line and not line.startswith("#")]
    changed = data.draw(st.lists(st.sampled_from(settable), min_size=count, max_size=count, unique=True))
    for number in changed:
        value = data.draw(SCALARS.filter(lambda v: not isinstance(v, str) or v.isprintable()))
        lines[number] = f"{lines[number].split(' = ')[0]} = {_toml(value)}"
    outcome = load("\n".join(lines))
    if isinstance(outcome, SpecError):
        assert "(file)" not in {mistake.key for mistake in outcome.mistakes}
        assert all(mistake.line for mistake in outcome.mistakes)


@given(st.data())
@settings(deadline=None, max_examples=150)
def test_any_mutation_of_the_file_loads_or_is_refused(data: st.DataObject) -> None:
    lines = TEXT.split("\n")
    for _ in range(data.draw(st.integers(1, 5))):
        at = data.draw(st.integers(0, len(lines) - 1))
        action = data.draw(st.sampled_from(["drop", "double", "swap", "cut", "insert", "uncomment"]))
        other = data.draw(st.integers(0, len(lines) - 1))
        if action == "drop" and len(lines) > 1:
            del lines[at]
        elif action == "double":
            lines.insert(other, lines[at])
        elif action == "swap":
            lines[at], lines[other] = lines[other], lines[at]
        elif action == "cut":
            lines[at] = lines[at][: data.draw(st.integers(0, 20))]
        elif action == "insert":
            lines[at] += data.draw(st.text(max_size=3))
        else:
            lines[at] = lines[at].lstrip("# ")
    load("\n".join(lines))


KEYS = st.sampled_from(["a", "b", '"c d"', '"e.f"', "'g\"'", "1", "-"])
VALUES = st.recursive(
    st.sampled_from(
        ["1", "1.5", "true", '"x]}#"', "'''a\nb = 1\n[c]'''", '"""x\\"""" """', "1979-05-27 07:32:00", '""']
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: "[\n" + ", # ]\n".join(items) + "]"),
        st.dictionaries(KEYS, inner, max_size=3).map(
            lambda table: "{" + ", ".join(f"{key} = {value}" for key, value in table.items()) + "}"
        ),
    ),
    max_leaves=6,
)
STATEMENTS = st.one_of(
    st.tuples(st.lists(KEYS, min_size=1, max_size=2), VALUES).map(lambda pair: f"{' . '.join(pair[0])} = {pair[1]}"),
    st.lists(KEYS, min_size=1, max_size=3).map(lambda keys: f"[ {'.'.join(keys)} ] # [x]"),
    st.lists(KEYS, min_size=1, max_size=2).map(lambda keys: f"[[{'.'.join(keys)}]]"),
)


def _locations(tree: Any, path: toml_lines.Location = ()) -> set[toml_lines.Location]:
    """Return every location of a parsed text."""
    pairs = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    return {path} | {found for key, value in pairs for found in _locations(value, (*path, key))}


@given(st.lists(STATEMENTS, max_size=8))
@settings(max_examples=200, deadline=None)
def test_the_line_of_every_location_in_any_toml(statements: list[str]) -> None:
    text = "\n".join(statements)
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        assume(False)
    index = toml_lines.line_index(text)
    lines = text.split("\n")
    real = _locations(tree)
    assert {prefix[:depth] for prefix in index for depth in range(len(prefix) + 1)} | {()} == real
    for location, line in index.items():
        last = location[-1]
        assert isinstance(last, int) or str(last) in lines[line - 1]
    assert all(toml_lines.find_line(index, location) for location in real - {()})
