"""The rendered files: exactly these bytes each time, and no password in them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from tests.poolkeeper.unit import snapshots
from tests.poolkeeper.unit.test_spec_properties import Edit, edits

from poolkeeper.model import source
from poolkeeper.model.spec import ClusterSpec
from poolkeeper.render import compose_file
from poolkeeper.render.files import render
from poolkeeper.system import state

IMAGES = {role: f"poolkeeper/{role}:0123456789ab" for role in compose_file.ROLES}
CLUSTERS = {"default": snapshots.SPEC, "blue": snapshots.blue()}
RENDERED = {name: render(spec, IMAGES) for name, spec in CLUSTERS.items()}
FILES = [(cluster, path) for cluster, files in RENDERED.items() for path in files]
GOLDEN = Path(__file__).parent / "rendered"
SPECS = edits().map(Edit.text).map(source.load)


@pytest.mark.parametrize(("cluster", "path"), FILES, ids=[f"{cluster}/{path}" for cluster, path in FILES])
def test_a_file_equals_its_golden_file(golden: Callable[[str, str], None], cluster: str, path: str) -> None:
    """Write an intended change with --write-golden and read the diff."""
    golden(f"rendered/{cluster}/{path}", RENDERED[cluster][path])


@pytest.mark.parametrize("cluster", CLUSTERS)
def test_the_golden_folder_has_no_other_file(cluster: str) -> None:
    """A file that is no longer rendered must leave the golden folder."""
    assert set(state.read_tree(GOLDEN / cluster)) == set(RENDERED[cluster])


@given(SPECS)
@settings(max_examples=15)
def test_the_same_declaration_gives_the_same_bytes(spec: ClusterSpec) -> None:
    """The bytes are also the same after the spec was written and read."""
    again = ClusterSpec.model_validate_json(spec.model_dump_json())
    assert render(spec, IMAGES) == render(again, IMAGES)


def _passwords(tree: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every value whose key names a password, with its path."""
    pairs = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in pairs:
        if "passw" in str(key).lower():
            yield f"{path}.{key}", value
        yield from _passwords(value, f"{path}.{key}")


def _settings(text: str) -> dict[str, str]:
    lines = (line.partition(" = ") for line in text.splitlines() if not line.startswith("#"))
    return {key: value for key, equals, value in lines if equals}


@given(SPECS)
@settings(max_examples=15)
def test_no_password_is_in_any_file(spec: ClusterSpec) -> None:
    """A password's value is empty, the name of a file, or a variable that the entry point sets."""
    for path, text in render(spec, IMAGES).items():
        if path.endswith(".yml"):
            found = dict(_passwords(yaml.safe_load(text)))
            assert set(found.values()) <= {"scram-sha-256"}, path
        elif path.endswith("pgpool.conf"):
            found = {key: value for key, value in _settings(text).items() if "passw" in key}
            assert found.pop("pool_passwd") == "'pool_passwd'"
            assert set(found.values()) == {"''"}, path
        elif path.endswith("haproxy.cfg"):
            (line,) = (line for line in text.splitlines() if "passw" in line)
            assert line.split()[-1] == '"${POOLKEEPER_STATS_PASSWORD}"'
        else:
            assert "passw" not in text.lower()


@pytest.mark.parametrize("spec", CLUSTERS.values(), ids=CLUSTERS.keys())
def test_secrets_are_mounted_as_files(spec: ClusterSpec) -> None:
    """The first start creates each secret of the Compose file; no container has one in its environment."""
    document = compose_file.document(spec, IMAGES)
    assert set(document["secrets"]) <= set(state.SECRET_NAMES)
    assert all(secret == {"file": f"../secrets/{name}"} for name, secret in document["secrets"].items())
    names = {name for service in document["services"].values() for name in service.get("environment", {})}
    assert not [name for name in names if "PASS" in name or "SECRET" in name]


def test_a_definition_does_not_depend_on_the_others() -> None:
    """A change of one service keeps the digests of the others."""
    spec = snapshots.SPEC.model_copy(update={"haproxy": snapshots.SPEC.haproxy.model_copy(update={"stats_port": 8408})})
    before, after = (compose_file.document(each, IMAGES)["services"] for each in (snapshots.SPEC, spec))
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {spec.haproxy.service}


def test_two_clusters_share_nothing() -> None:
    """Two clusters side by side share no container, volume, network, port or address."""
    one, two = (compose_file.document(spec, IMAGES) for spec in CLUSTERS.values())
    assert not _claims(one) & _claims(two)


def _claims(document: dict[str, Any]) -> set[str]:
    services = document["services"].values()
    claims = {document["name"], *(service["container_name"] for service in services)}
    claims |= {volume["name"] for volume in document["volumes"].values()}
    claims |= {document["networks"]["cluster"]["name"]}
    claims |= {port.split(":")[1] for service in services for port in service.get("ports", [])}
    return claims | {service["networks"]["cluster"]["ipv4_address"] for service in services}
