"""The pure parts of the adapters: what they read out of other programs' words, and how they write for them."""

from __future__ import annotations

import re
from ipaddress import IPv4Network
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from tests.poolkeeper.unit import snapshots

from poolkeeper.core import errors
from poolkeeper.model import grammar, spec_rules
from poolkeeper.model.observed import PatroniMember
from poolkeeper.operations import logs
from poolkeeper.render import client_files
from poolkeeper.render import pgpool_config as rendered_pgpool
from poolkeeper.system import compose, haproxy, patroni, preflight, process

# GET /cluster of Patroni 4.0, shortened.
CLUSTER: dict[str, Any] = {
    "members": [
        {"name": "pg_node1", "role": "leader", "state": "running", "api_url": "…", "host": "pg_node1", "timeline": 3},
        {"name": "pg_node2", "role": "quorum_standby", "state": "streaming", "timeline": 3, "lag": 16, "tags": {}},
        {"name": "pg_node3", "role": "replica", "state": "starting", "lag": "unknown", "pending_restart": True},
    ],
    "scope": "poolkeeper",
}


def test_patronis_view() -> None:
    """The leader, the streaming members and their lag; an unknown lag is unknown, not none."""
    view = patroni.read_view(CLUSTER)
    assert view.members == (
        PatroniMember("pg_node1", "leader", "running", 3, None),
        PatroniMember("pg_node2", "quorum_standby", "streaming", 3, 16),
        PatroniMember("pg_node3", "replica", "starting", None, None, pending_restart=True),
    )
    assert (view.leader, view.paused) == ("pg_node1", False)


def test_patronis_view_of_nothing_and_of_a_pause() -> None:
    """A store without members has no leader."""
    view = patroni.read_view({"pause": True})
    assert (view.members, view.leader, view.paused) == ((), None, True)


# `;csv` of HAProxy 3.0, with the first and the last columns that matter.
STATISTICS = (
    "# pxname,svname,qcur,qmax,scur,smax,slim,stot,status,weight,check_status,\n"
    "rw,FRONTEND,,,3,5,4096,9,OPEN,,,\n"
    'primary,"pg_node1",0,0,2,4,,7,UP,1,L7OK,\n'
    "primary,pg_node2,0,0,,0,,0,DOWN,1,L7STS,\n"
    "primary,BACKEND,0,0,2,4,1,7,UP 1/2,1,,\n"
)


def test_haproxys_rows() -> None:
    """Frontends have no check; an absent number is read as none."""
    rows = haproxy.read_rows(STATISTICS)
    assert [(row.proxy, row.name, row.status, row.sessions, row.check) for row in rows] == [
        ("rw", "FRONTEND", "OPEN", 3, ""),
        ("primary", "pg_node1", "UP", 2, "L7OK"),
        ("primary", "pg_node2", "DOWN", 0, "L7STS"),
        ("primary", "BACKEND", "UP 1/2", 2, ""),
    ]
    assert [row.is_up for row in rows] == [True, True, False, True]


@pytest.mark.parametrize("text", ["", "<html>Unauthorized</html>", "pxname,svname\nrw,FRONTEND\n"])
def test_something_else_is_not_taken_for_statistics(text: str) -> None:
    """A page of another program on that port."""
    with pytest.raises(errors.ServerRefused) as caught:
        haproxy.read_rows(text)
    assert caught.value.code == "csv"


STAMP = "2026-11-22T20:23:18.123456789Z"


@pytest.mark.parametrize(
    ("raw", "line"),
    [
        (f"{STAMP} LOG:  ready", (STAMP, "LOG:  ready")),
        (f"{STAMP} ", (STAMP, "")),
        (STAMP, (STAMP, "")),
        (f"{STAMP}  indented", (STAMP, " indented")),
        ("2026-11-22T20:23:18.1+02:00 x", ("2026-11-22T20:23:18.1+02:00", "x")),
        ("2026 was a year", ("", "2026 was a year")),
        ("2026-11-22 20:23:18 UTC [1] LOG:  x", ("", "2026-11-22 20:23:18 UTC [1] LOG:  x")),
        ("Error response from daemon: no such container", ("", "Error response from daemon: no such container")),
        ("", ("", "")),
    ],
)
def test_a_log_line(raw: str, line: tuple[str, str]) -> None:
    """The engine's stamp is taken off; whatever has none keeps all of its text."""
    assert logs.parse("etcd1", raw) == logs.Line(line[0], "etcd1", line[1])


def test_logs_are_merged_by_time_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two lines of one moment stay in their order, also where their text sorts otherwise."""
    lines = {"a": [f"{STAMP} second", f"{STAMP} first"], "b": ["2026-11-22T20:23:18.000000000Z earlier"]}
    monkeypatch.setattr(compose, "follow_logs", lambda name, **_: iter(lines[name]))
    merged = logs.merged({"x": "a", "y": "b"})
    assert [(line.service, line.text) for line in merged] == [("y", "earlier"), ("x", "second"), ("x", "first")]


def test_following_ends_also_when_a_source_breaks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A source that ends in an error must not leave the reader waiting for ever."""

    def broken(_name: str, **_: object) -> Any:
        yield f"{STAMP} last words"
        raise errors.EngineFailed("gone")

    monkeypatch.setattr(compose, "follow_logs", broken)
    monkeypatch.setattr("threading.excepthook", lambda _args: None)
    assert [line.text for line in logs.merged({"x": "a"}, follow=True)] == ["last words"]


ROUTES = """\
Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t010011AC\t0003\t0\t0\t0\t00000000\t0\t0\t0
eth0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0
br-2f\t0000080A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
tun0\t0100080A\t00000000\t0005\t0\t0\t0\tFFFFFFFF\t0\t0\t0

"""


def test_routes() -> None:
    """Addresses are little-endian hexadecimal, as the kernel writes them on this kind of machine."""
    assert preflight.read_routes(ROUTES) == [
        ("eth0", IPv4Network("0.0.0.0/0")),
        ("eth0", IPv4Network("172.17.0.0/16")),
        ("br-2f", IPv4Network("10.8.0.0/24")),
        ("tun0", IPv4Network("10.8.0.1/32")),
    ]
    assert preflight.read_routes("") == []


# pool_config.l of Pgpool-II 4: what a quoted string is. 4.6.1 takes what is between the quotes as it is, which
# tests/integration/test_binaries_accept.py proves with the real one.
PGPOOL_STRING = re.compile(r"'([^'\n]|\\.)*'")
SETTING_TEXTS = st.text(max_size=30).filter(lambda text: "'" not in text and _is_a_setting(text))


def _is_a_setting(text: str) -> bool:
    try:
        return TypeAdapter(grammar.Setting).validate_python(text) == text
    except ValidationError:
        return False


@given(SETTING_TEXTS)
@example("\\")
@example("a\\.b\\\\")
@example('# = "x"')
def test_pgpool_reads_the_value_that_was_declared(value: str) -> None:
    """Pgpool-II reads any text that the grammar of cluster.toml accepts as one string, unchanged."""
    written = rendered_pgpool.literal(value)
    assert PGPOOL_STRING.fullmatch(written)
    assert written[1:-1] == value


@pytest.mark.parametrize(("value", "written"), [(True, "on"), (False, "off"), (7, "7"), ("", "''"), ("on", "'on'")])
def test_other_values_for_pgpool(value: Any, written: str) -> None:
    """Truth values and numbers go without quotes."""
    assert rendered_pgpool.literal(value) == written


def test_a_quote_in_a_text_for_pgpool_is_refused() -> None:
    """pgpool.conf has no way to write a quote inside a string."""
    spec = snapshots.SPEC.model_copy(
        update={"pgpool": snapshots.SPEC.pgpool.model_copy(update={"parameters": {"log_line_prefix": "it's "}})}
    )
    assert [location for location, _ in spec_rules.broken_rules(spec)] == [("pgpool", "parameters", "log_line_prefix")]


@pytest.mark.parametrize(
    ("old", "new", "restarts"),
    [
        ("a = 1\nport = 1\n", "a = 2\nport = 1\n", False),
        ("port = 1\n", "port = 2\n", True),
        ("", "num_init_children = 4\n", True),
        ("connection_cache = on\n", "", True),
        ("backend_hostname0 = 'a'\n", "backend_hostname0 = 'a'\nbackend_hostname1 = 'b'\n", True),
        ("# port = 1\n", "# port = 2\n", False),
        ("local all all trust\n", "local all all scram-sha-256\n", False),
    ],
)
def test_settings_that_need_a_restart_of_pgpool(old: str, new: str, restarts: bool) -> None:
    """A setting that is taken at the start only: changed, added or gone."""
    assert rendered_pgpool.needs_restart(old, new) is restarts


def _pgpass(line: str) -> list[str]:
    """A line of pgpass as libpq reads it: fields by colons, a backslash takes the next character as it is."""
    fields, at = [""], 0
    while at < len(line):
        if line[at] == "\\" and at + 1 < len(line):
            at += 1
            fields[-1] += line[at]
        elif line[at] == ":" and len(fields) < 5:
            fields.append("")
        else:
            fields[-1] += line[at]
        at += 1
    return fields


PASSWORDS = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Zl", "Zp")), min_size=1, max_size=20)


@given(PASSWORDS)
@example("a:b\\c\\")
@example("\\:")
def test_libpq_reads_the_password_that_was_written(password: str) -> None:
    """Every endpoint has a line, and its last field is the password."""
    lines = client_files.password_file(snapshots.SPEC, {"app": password}).split("\n")
    assert lines.pop() == ""
    ports = sorted(client_files.endpoints(snapshots.SPEC).values())
    assert sorted(_pgpass(line) for line in lines) == sorted(
        ["127.0.0.1", str(port), "*", "app", password] for port in ports
    )


@pytest.mark.parametrize("program", ["kill -INT $$", "exit 130"])
def test_a_program_that_ctrl_c_ended_is_an_interruption(program: str) -> None:
    """Ctrl-C reaches this process and its children; a child that ends first is no failure of the engine."""
    with pytest.raises(KeyboardInterrupt):
        process.check(["sh", "-c", program])


def test_a_program_that_fails_is_named_with_its_exit_code() -> None:
    with pytest.raises(errors.EngineFailed, match="sh -c exit 3 ended with 3"):
        process.check(["sh", "-c", "exit 3"])
