"""`init` writes a cluster.toml that is valid, never overwrites one, and can describe a cluster beside the first."""

from __future__ import annotations

import tomllib
from importlib import resources
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from poolkeeper.cli import main
from poolkeeper.core import errors
from poolkeeper.model import source
from poolkeeper.model.spec import ClusterSpec
from poolkeeper.operations import init
from poolkeeper.operations.init import InitOptions

ROOT = Path(__file__).resolve().parents[3]
BLUE = InitOptions(name="blue", subnet="10.9.0.0/24", port_offset=1000)


def run(*words: str) -> Result:
    """Run `poolkeeper init` with these words."""
    return CliRunner().invoke(main.app, ["init", *words])


def test_the_file_of_the_checkout_is_the_packaged_one() -> None:
    """Copy src/poolkeeper/cluster.toml to cluster.toml after an edit: the package's is the source."""
    packaged = (resources.files("poolkeeper") / "cluster.toml").read_bytes()
    assert (ROOT / "cluster.toml").read_bytes() == packaged


def test_a_wheel_contains_the_file() -> None:
    """The build takes package data from pyproject.toml alone."""
    tool = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
    assert "cluster.toml" in tool["setuptools"]["package-data"]["poolkeeper"]


def test_without_options_the_file_declares_the_defaults(tmp_path: Path) -> None:
    done = run(str(tmp_path / "new" / "folder"))
    written = tmp_path / "new" / "folder" / "cluster.toml"
    assert done.exit_code == 0
    assert written.read_text(encoding="utf-8") == init.default_text()
    assert source.load(written.read_text(encoding="utf-8")) == ClusterSpec()
    assert f"poolkeeper --file {written} up" in done.stderr


def test_the_default_folder_is_the_current_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = run()
    assert done.exit_code == 0
    assert "start the cluster with: poolkeeper up" in done.stderr
    assert (tmp_path / "cluster.toml").exists()


def test_an_existing_file_is_not_overwritten(tmp_path: Path) -> None:
    file = tmp_path / "cluster.toml"
    file.write_text("mine")
    done = run(str(tmp_path), "--name", "blue")
    assert done.exit_code == errors.UsageError.exit_code
    assert f"{file} exists already; nothing was written" in done.stderr
    assert file.read_text() == "mine"


def test_a_dangling_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "cluster.toml").symlink_to(tmp_path / "elsewhere.toml")
    assert run(str(tmp_path)).exit_code == errors.UsageError.exit_code
    assert not (tmp_path / "elsewhere.toml").exists()


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert run(str(tmp_path / "file")).exit_code == errors.UsageError.exit_code
    assert run(str(tmp_path / "file" / "below")).exit_code == errors.PermissionRefused.exit_code


def test_a_second_cluster_shares_no_name_address_or_port_with_the_first() -> None:
    first, second = ClusterSpec(), source.load(init.cluster_toml(BLUE))
    assert second.name == "blue"
    assert not set(first.addresses().values()) & set(second.addresses().values())
    assert all(address in second.network.subnet for address in second.addresses().values())
    ours, its = ({port for table in spec.published_ports().values() for port in table} for spec in (first, second))
    assert its == {port + 1000 for port in ours}


def test_only_names_addresses_and_ports_differ_and_every_comment_stays() -> None:
    before, after = init.default_text().splitlines(), init.cluster_toml(BLUE).splitlines()
    assert len(before) == len(after)
    changed = {old.split(" = ")[0] for old, new in zip(before, after, strict=True) if old != new}
    assert changed == {
        "name",
        "subnet",
        "address",
        "port",
        "stats_port",
        "primary_port",
        "standby_port",
        "runtime_port",
    }


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--name", "A b"), "name: must be"),
        (("--name", ""), "name: must be"),
        (("--subnet", "nonsense"), "is not an IPv4 network"),
        (("--subnet", "10.9.0.1/24"), "has host bits set"),
        (("--subnet", "fd00::/64"), "is not an IPv4 network"),
        (("--subnet", "10.9.0.0/26"), "is too small"),
        (("--subnet", "10.0.0.0/4"), "network"),
        (("--port-offset", "70000"), "must be at most 65535"),
        (("--port-offset", "-6000"), "must be at least"),
    ],
)
def test_bad_options_are_refused_and_write_nothing(tmp_path: Path, words: tuple[str, ...], reason: str) -> None:
    done = run(str(tmp_path / "new"), *words)
    assert done.exit_code == errors.UsageError.exit_code, done.output
    assert reason in done.stderr
    assert not (tmp_path / "new").exists()


def test_an_offset_that_is_not_a_number_is_refused(tmp_path: Path) -> None:
    assert run(str(tmp_path), "--port-offset", "many").exit_code == 2
    assert list(tmp_path.iterdir()) == []


def test_the_text_reads_again_with_any_smaller_or_larger_network() -> None:
    for subnet in ("10.9.0.0/25", "172.16.0.0/12", "192.168.7.0/24"):
        spec = source.load(init.cluster_toml(InitOptions(subnet=subnet)))
        assert str(spec.network.subnet) == subnet
        assert int(spec.haproxy.address) - int(spec.network.subnet.network_address) == 100
