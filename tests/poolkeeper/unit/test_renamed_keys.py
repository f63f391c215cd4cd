"""Old keys of `cluster.toml`: each is refused with its new name, together with every other mistake of the file."""

from __future__ import annotations

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.poolkeeper.unit.mistake_files import check, mistakes_of

from poolkeeper.core.errors import SpecError
from poolkeeper.model import source
from poolkeeper.model.locations import dotted
from poolkeeper.model.renamed_keys import RENAMED

TABLES = {dotted(old): dotted(new) for old, new in RENAMED.items() if len(old) == 2}
PORTS = {"rw": 6001, "ro": 6002, "pool": 6003, "direct_rw": 6004, "direct_ro": 6005}

FILES: dict[str, str] = {
    "the read-write endpoint": "[lanes.rw]  #! lanes.rw: is now named endpoints.rw\nport = 5100",
    "the read-only endpoint": "[lanes.ro]  #! lanes.ro: is now named endpoints.ro\nport = 5101",
    "the balanced endpoint": "[lanes.pool]  #! lanes.pool: is now named endpoints.balanced\nport = 9999",
    "the direct read-write endpoint": "[lanes.direct_rw]  #! lanes.direct_rw: is now named endpoints.direct_rw",
    "the direct read-only endpoint": "[lanes.direct_ro]  #! lanes.direct_ro: is now named endpoints.direct_ro",
    "the balanced endpoint under the new table": "[endpoints.pool]  #! endpoints.pool: is now named endpoints.balanced",
    "an empty old table": "[lanes]  #! lanes: is now named endpoints",
    "a value for the old table": "lanes = 5  #! lanes: is now named endpoints",
    "a list for the old table": "[[lanes]]  #! lanes: is now named endpoints\nrw = 1",
    "a value for an old key": """
        [lanes]
        rw = 5  #! lanes.rw: is now named endpoints.rw  #! lanes.rw: must be a table, not 5
        """,
    "a dotted key": "lanes.rw.port = 5100  #! lanes.rw: is now named endpoints.rw",
    "an inline table": "lanes = { pool = { port = 9999 } }  #! lanes.pool: is now named endpoints.balanced",
    "an unknown key in the old table": "[lanes]  #! lanes: is now named endpoints\nwr = 1  #! lanes.wr: unknown key",
    "the old and the new table": """
        [lanes.rw]  #! lanes.rw: is now named endpoints.rw; the file has two tables for it, keep one
        port = 5100
        [endpoints.rw]
        port = 5100
        """,
    "two old tables of one name": """
        [lanes.pool]  #! lanes.pool: is now named endpoints.balanced
        port = 9999
        [endpoints.pool]  #! endpoints.pool: is now named endpoints.balanced; the file has two tables for it, keep one
        port = 9999
        """,
    "a new table that is none": """
        endpoints = 5  #! endpoints: must be a table, not 5
        [lanes.rw]  #! lanes.rw: is now named endpoints.rw
        port = 5100
        """,
    "several old keys and other mistakes": """
        nam = "x"  #! nam: unknown key; did you mean name?
        [lanes.rw]  #! lanes.rw: is now named endpoints.rw
        max_pool = "4"  #! lanes.rw.max_pool: must be an integer, not "4"
        [patroni]
        ttl = 19  #! patroni.ttl: must be at least 20, not 19
        [lanes.pool]  #! lanes.pool: is now named endpoints.balanced
        max_pol = 4  #! lanes.pool.max_pol: unknown key; did you mean max_pool?
        port = 5612  #! lanes.pool.port: port 5612 is already used by pg_node2
        [lanes.direct_rw]  #! lanes.direct_rw: is now named endpoints.direct_rw
        port = 5101  #! lanes.direct_rw.port: port 5101 is already used by endpoints.ro
        [lanes.wr]  #! lanes.wr: unknown key
        """,
}


@pytest.mark.parametrize("text", FILES.values(), ids=FILES.keys())
def test_an_old_key_is_refused_with_its_new_name(text: str) -> None:
    check(text)


def test_the_names_of_the_former_release_are_known() -> None:
    assert TABLES == {
        "lanes.rw": "endpoints.rw",
        "lanes.ro": "endpoints.ro",
        "lanes.pool": "endpoints.balanced",
        "lanes.direct_rw": "endpoints.direct_rw",
        "lanes.direct_ro": "endpoints.direct_ro",
        "endpoints.pool": "endpoints.balanced",
    }


def _text(tables: list[str]) -> str:
    return "".join(f"[{table}]\nport = {PORTS[table.split('.')[1]]}\n" for table in tables)


@given(st.lists(st.sampled_from([old for old in TABLES if old != "endpoints.pool"]), min_size=1, unique=True))
def test_a_file_of_old_tables_is_good_under_the_new_names(tables: list[str]) -> None:
    """Every old table is reported once, on its line; the names that the messages give make the file valid."""
    text = _text(tables)
    found = mistakes_of(text)
    assert [(key, line) for key, line, _ in found] == [(table, 2 * i + 1) for i, table in enumerate(tables)]
    for key, _, rule in found:
        text = text.replace(f"[{key}]", f"[{rule.removeprefix('is now named ')}]")
    endpoints = source.load(text).endpoints.model_dump()
    for old in tables:
        assert endpoints[TABLES[old].split(".")[1]]["port"] == PORTS[old.split(".")[1]]


@given(st.lists(st.sampled_from([*TABLES, "lanes", "endpoints.rw", "lanes.x", "patroni", "nam"]), unique=True))
def test_any_mixture_of_old_and_new_tables_ends_in_the_right_mistakes(tables: list[str]) -> None:
    """Each old key is reported on its line, whatever else the file has; other keys are never called renamed."""
    text = "".join(f"[{table}]\n" for table in sorted(tables))  # [lanes] before [lanes.rw], as TOML requires
    assert tomllib.loads(text) is not None
    lines = {table: number for number, table in enumerate(sorted(tables), start=1)}
    try:
        source.load(text)
        found = set()
    except SpecError as e:
        found = {(mistake.key, mistake.line) for mistake in e.mistakes if "is now named" in mistake.rule}
    expected = {(table, lines[table]) for table in tables if table in TABLES}
    lanes = [table for table in tables if table.split(".")[0] == "lanes"]
    if lanes and not any(table in TABLES for table in lanes):
        expected.add(("lanes", lines[min(lanes)]))
    assert found == expected
