"""The default file, the model and their page agree."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from poolkeeper.model import source, spec_rules, toml_lines
from poolkeeper.model.spec import ClusterSpec
from poolkeeper.render import config_docs

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "cluster.toml").read_text(encoding="utf-8")
PAGE = ROOT / "docs" / "configuration.md"


def keys(tree: Any, path: str = "") -> Iterator[str]:
    """Yield every dotted key of nested tables; all entries of a list have one key `name[]`."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield from keys(value, f"{path}.{key}" if path else key)
    elif isinstance(tree, list | tuple):
        for item in tree:
            yield from keys(item, f"{path}[]")
    else:
        yield path


MODEL_KEYS = sorted(set(keys(ClusterSpec().model_dump())))


def test_the_default_file_is_the_default_spec() -> None:
    assert source.load(TEXT) == ClusterSpec()


def test_an_empty_file_is_the_default_spec() -> None:
    assert source.load("") == ClusterSpec()


def test_the_default_spec_breaks_no_rule() -> None:
    assert spec_rules.broken_rules(ClusterSpec()) == []


def test_the_file_has_exactly_the_keys_of_the_model() -> None:
    assert sorted(set(keys(tomllib.loads(TEXT)))) == MODEL_KEYS
    assert tomllib.loads(TEXT)["pgpool"]["parameters"] == {}  # present and empty


def test_every_table_of_the_file_has_a_comment() -> None:
    lines = TEXT.split("\n")
    for number, line in enumerate(lines):
        if line.startswith("[") and not line.startswith("[["):
            near = lines[number - 1 : number + 2]
            assert any(text.startswith("#") for text in near), f"line {number + 1}: {line} has no comment"


def test_each_key_of_the_model_is_found_on_its_line() -> None:
    lines = toml_lines.line_index(TEXT)
    for location in lines:
        key = str(location[-1]) if isinstance(location[-1], str) else str(location[-2])
        assert key in TEXT.split("\n")[lines[location] - 1]
    assert {"nodes", "etcd", "endpoints", "haproxy"} <= {location[0] for location in lines}


def test_the_page_is_what_the_model_renders() -> None:
    assert PAGE.read_text(encoding="utf-8") == config_docs.render(), (
        "write it again: python -c 'from poolkeeper.render import config_docs as page; "
        'open("docs/configuration.md", "w").write(page.render())\''
    )


@pytest.mark.parametrize("key", [key for key in MODEL_KEYS if ".parameters." not in key])
def test_the_page_names_every_key(key: str) -> None:
    assert f"| `{key}` |" in config_docs.render()


def test_the_page_has_every_rule_and_every_owned_parameter() -> None:
    page = config_docs.render()
    for rule in spec_rules.RULES:
        assert rule.__doc__
        assert " ".join(rule.__doc__.split()) in page
    for name in spec_rules.OWNED_POSTGRESQL | spec_rules.OWNED_PGPOOL:
        assert f"`{name}`" in page


def test_every_field_of_the_page_has_a_meaning() -> None:
    rows = [line for line in config_docs.render().split("\n") if line.startswith("| `")]
    assert len(rows) >= 70
    assert [row for row in rows if row.replace("\\|", "").count("|") != 6 or row.endswith("|  |")] == []
