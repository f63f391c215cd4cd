"""The real programs accept the rendered files, and refuse an injected mistake in each, so that the test can fail.

Where a program has no check mode, or ignores unknown keys, the tests compare the settings that it reports.
"""

from __future__ import annotations

import asyncio
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.poolkeeper.integration.conftest import Bench, Benches
from tests.poolkeeper.unit import deployments, snapshots

from poolkeeper.core import wait
from poolkeeper.render import pgpool_config
from poolkeeper.system import compose, process

pytestmark = pytest.mark.integration

ENDPOINTS = {"rw": "pgpool_rw", "ro": "pgpool_ro", "balanced": "pgpool"}


def _compose_config(file: Path) -> process.Finished:
    return process.run(["docker", "compose", "-f", str(file), "config", "--format", "json"])


def test_compose_reads_the_file(bench: Bench) -> None:
    """Compose reads each service with its own definition, and finds every secret's file."""
    done = _compose_config(bench.folder.compose_file)
    assert done.ok, done.output
    document = json.loads(done.stdout)
    assert set(document["services"]) == set(bench.spec.addresses())
    assert all(Path(secret["file"]).is_file() for secret in document["secrets"].values())


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("    restart:", "    restrat:"),
        ("- superuser\n", "- supervisor\n"),
        ("127.0.0.1:5611:5432", "127.0.0.1:x:5432"),
    ],
)
def test_compose_refuses_an_injected_mistake(bench: Bench, old: str, new: str) -> None:
    """The mistakes: an unknown key, a secret that is not declared, a port that is none."""
    text = bench.folder.compose_file.read_text()
    assert old in text
    altered = bench.folder.rendered / "altered.yml"
    altered.write_text(text.replace(old, new, 1))
    try:
        assert not _compose_config(altered).ok
    finally:
        altered.unlink()


def test_haproxy_accepts_its_file(benches: Benches, bench: Bench) -> None:
    """HAProxy prints no warning, also for a cluster that differs in everything."""
    for each in (bench, benches.make(snapshots.blue())):
        done = each.run(each.spec.haproxy.service, "validate")
        assert (done.code, done.output) == (0, "")


def test_haproxy_refuses_an_injected_mistake(bench: Bench) -> None:
    """The entry point hands HAProxy's refusal on."""
    altered = bench.altered_copy(
        "haproxy_pgpool", "haproxy.cfg", "default_backend endpoint_ro", "default_backend endpoint_roo"
    )
    done = bench.run("haproxy_pgpool", "validate", config=altered)
    assert done.code == 1
    assert "endpoint_roo" in done.output


def _started(container: str) -> None:
    """Wait until a Pgpool-II reports that it has started."""

    async def check() -> None:
        log = compose.tail(container, 200)
        wait.require(None if "pgpool-II successfully started" in log else log[-300:])

    asyncio.run(wait.wait_for("the start of Pgpool-II", check, seconds=20))


def _says(container: str) -> dict[str, str]:
    """Return every setting as this Pgpool-II reports it (pcp_pool_status)."""
    argv = "pcp_pool_status -h /run/pgpool -p 9898 -U pcp -w".split()
    said = compose.execute(container, ["env", "PCPPASSFILE=/run/pgpool/pcppass", *argv])
    return {name: value for name, value in re.findall(r"^name *: (.*)\nvalue *: (.*)$", said, re.MULTILINE)}


def _same(declared: Any, said: str) -> bool:
    """Compare: Pgpool-II reports truth values as 0 and 1, flags in another order, choices as numbers."""
    if isinstance(declared, bool):
        return said == str(int(declared))
    if isinstance(declared, int):
        return float(said) == declared
    return said.isdigit() or set(said.split("|")) == set(declared.split("|"))


ODD = 'a\\.b\\\\ # "c" = é %a: '


@pytest.fixture(scope="module")
def pools(benches: Benches) -> tuple[Bench, dict[str, str]]:
    """All three Pgpool-II services without servers: the balanced one searches for a primary for a second only."""
    spec = deployments.edit(snapshots.SPEC, "pgpool.search_primary_node_timeout", 1)
    spec = deployments.edit(spec, "pgpool.parameters", {"log_line_prefix": ODD, "child_max_connections": 7})
    made = benches.make(spec)
    return made, {key: made.start(service) for key, service in ENDPOINTS.items()}


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_pgpool_has_every_setting_as_it_was_rendered(pools: tuple[Bench, dict[str, str]], endpoint: str) -> None:
    """Pgpool-II ignores an unknown name, so the test reads each one back."""
    made, containers = pools
    _started(containers[endpoint])
    said = _says(containers[endpoint])
    declared = {
        key: value for section in pgpool_config.settings(made.spec, endpoint).values() for key, value in section.items()
    }
    known = set(declared) - {"health_check_password", "sr_check_password"}  # it does not report those
    assert known <= set(said)
    weights = {key for key in known if key.startswith("backend_weight")}  # it reports shares
    assert {said[key] for key in weights} == {f"{1 / len(weights):.6f}"}
    assert {key: said[key] for key in known - weights if not _same(declared[key], said[key])} == {}


def test_pgpool_takes_a_text_as_it_stands_between_the_quotes(pools: tuple[Bench, dict[str, str]]) -> None:
    """Backslashes, double quotes, a hash and another alphabet need no escaping in either direction."""
    _, containers = pools
    _started(containers["rw"])
    assert _says(containers["rw"])["log_line_prefix"] == ODD


def test_pgpool_refuses_an_injected_mistake(bench: Bench) -> None:
    """The mistakes: a value of another type, and a quote inside a text, which no escaping helps."""
    altered = bench.altered_copy("pgpool_rw", "pgpool.conf", "num_init_children = 32", "num_init_children = many")
    done = bench.run("pgpool_rw", config=altered)
    assert done.code == 3
    assert 'invalid value for parameter "num_init_children": "many"' in done.output
    altered = bench.altered_copy("pgpool_rw", "pgpool.conf", "'*'", "'it''s'")
    done = bench.run("pgpool_rw", config=altered)
    assert done.code != 0
    assert "syntax error in configuration file" in done.output


WATCHDOG = re.compile(
    r"wd_|heartbeat_|hostname0|pgpool_port0|if_|arping_|ping_path|trusted_|delegate_|.*(quorum|consensus)"
)
WATCHDOG_TOO = {"clear_memqcache_on_escalation", "allow_multiple_failover_requests_from_node"}


def test_every_setting_that_pgpool_takes_at_its_start_only_is_known(bench: Bench) -> None:
    """Pgpool-II's sample file names them: a reload silently ignores them. Those of the watchdog are never used."""
    done = bench.run("pgpool", "/etc/pgpool2/pgpool.conf", options=["--entrypoint", "cat"])
    assert done.ok, done.output
    name, wanted = "", set()
    for line in done.stdout.splitlines():
        if found := re.match(r"#?([a-z_0-9]+) *=", line):
            name = found[1]
        if name and "requires restart" in line:
            wanted.add(name)
    wanted = {name for name in wanted if not WATCHDOG.match(name)} - WATCHDOG_TOO
    assert len(wanted) > 20
    assert wanted - pgpool_config.NEEDS_RESTART == set()


def test_etcd_knows_every_key(bench: Bench) -> None:
    """etcd ignores an unknown key; it refuses a known one with a table for a value by name."""
    (member, *_) = bench.spec.etcd.members
    document = yaml.safe_load((bench.config(member.name) / "etcd.yml").read_text())
    altered = bench.folder.root / "altered-etcd"
    shutil.rmtree(altered, ignore_errors=True)
    altered.mkdir()
    for key in [*document, "no-such-key"]:
        (altered / key).write_text(yaml.safe_dump({**document, key: {"altered": 1}}))
    script = 'for file in /etc/poolkeeper/*; do echo "== ${file##*/}"; timeout 2 etcd --config-file "$file" 2>&1; done'
    done = bench.run(member.name, "-c", script, config=altered, options=["--entrypoint", "sh"])
    answers = dict(part.split("\n", 1) for part in done.stdout.split("== ")[1:])
    assert set(answers) == {*document, "no-such-key"}
    refused = {key for key, said in answers.items() if "cannot unmarshal object into Go struct field" in said}
    assert refused == set(document)
