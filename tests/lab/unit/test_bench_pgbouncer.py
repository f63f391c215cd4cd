"""PgBouncer beside the path: its endpoints, its variables, and its removal."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.poolkeeper.unit import snapshots

from poolkeeper.core import errors
from poolkeeper.core.progress import Silent
from poolkeeper.model.dsn import Dsn
from poolkeeper.system import compose, process
from poolkeeper_lab.bench.load import bench_endpoints
from poolkeeper_lab.bench.peers import peer_image, pgbouncer
from poolkeeper_lab.bench.report.bench_model import BenchTable
from poolkeeper_lab.drill import drill_run, link

SOURCES = Path(__file__).resolve().parents[3] / "src/poolkeeper_lab/bench/peers/stacks"
SPEC = snapshots.SPEC


def test_pgbouncer_s_endpoints() -> None:
    found = {"session": "10.8.0.2", "transaction": "10.8.0.3", "endpoint": "10.8.0.4"}
    about = BenchTable(title="x", header=())
    made = pgbouncer.as_endpoints(SPEC, found, {"session": 1, "transaction": 2, "endpoint": 3}, about)
    assert [(endpoint.key, endpoint.host, endpoint.port) for endpoint in made] == [
        ("PgBouncer, session", "10.8.0.2", 6432),
        ("PgBouncer, transaction", "10.8.0.3", 6432),
        ("HAProxy + PgBouncer, session", "10.8.0.4", 5100),
        ("HAProxy + PgBouncer, transaction", "10.8.0.4", 5101),
    ]
    assert made[0].capacity == bench_endpoints.spare_of(SPEC.endpoints.rw)
    assert all(endpoint.is_peer and endpoint.about is about for endpoint in made)
    assert made[2].pids == made[3].pids == {"HAProxy before PgBouncer": 3}


def test_pgbouncer_leads_to_the_primary_and_not_to_an_endpoint() -> None:
    given = pgbouncer.environment(SPEC, "pg_node2", SOURCES, "image", Path("/secrets"))
    assert given["PGBOUNCER_SERVER"] == f"{SPEC.addresses()['pg_node2']}:5432"
    assert given["PGBOUNCER_NETWORK"] == SPEC.project


class Beside:
    """PgBouncer's containers, in the place of the engine."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, is_ready: bool = True, starts: bool = True) -> None:
        self.events: list[str] = []
        self._is_ready, self._starts = is_ready, starts
        for target, name, made in (
            (peer_image, "ensure", lambda *_: "image"),
            (peer_image, "folder", lambda: SOURCES),
            (peer_image, "versions", lambda *_: {"pgbouncer": "1.24.1"}),
            (drill_run, "drilled", lambda _: SimpleNamespace(wait_healthy=self._healthy)),
            (process, "run", self._run),
            (compose, "inspect", self._inspect),
            (compose, "remove_all", lambda name: self.events.append(f"removed {name}")),
            (link, "connect", self._connect),
            (pgbouncer, "READY_SECONDS", 0.0),
        ):
            monkeypatch.setattr(target, name, made)

    async def _healthy(self, _: float) -> str:
        return "pg_node1"

    def _run(self, argv: list[str], **given: Any) -> process.Finished:
        assert given["env"]["PGBOUNCER_SERVER"].endswith(":5432")
        assert "secret" not in str(argv) + str(given["env"])
        assert (Path(given["env"]["PEER_SECRETS"]) / "app").read_text() == "secret"
        self.events.append("started")
        return process.Finished(tuple(argv), 0 if self._starts else 1, "", "no space")

    def _inspect(self, _: str) -> list[dict[str, Any]]:
        return [
            {
                "Config": {"Labels": {compose.SERVICE: service}},
                "NetworkSettings": {"Networks": {"poolkeeper": {"IPAddress": f"10.8.0.{number}"}}},
                "State": {"Pid": number},
            }
            for number, service in enumerate(("session", "transaction", "endpoint"), start=2)
        ]

    def _connect(self, dsn: Dsn, _: float) -> Any:
        if not self._is_ready:
            raise link.Failed("connect: refused", f"{dsn.where} refused", sent=False)
        return SimpleNamespace(close=lambda: None)


PLACE: Any = SimpleNamespace(spec=SPEC, with_passwords=lambda: SimpleNamespace(passwords={"app": "secret"}))
GONE = f"removed bench-pgbouncer-{SPEC.name}"


def test_pgbouncer_is_started_and_taken_away(monkeypatch: pytest.MonkeyPatch) -> None:
    beside = Beside(monkeypatch)
    with pgbouncer.endpoints(PLACE, Silent()) as found:
        assert [endpoint.host for endpoint in found] == ["10.8.0.2", "10.8.0.3", "10.8.0.4", "10.8.0.4"]
        assert beside.events == [GONE, "started"]
        assert found[0].about is not None
        assert found[0].about.rows[0][1] == "pgbouncer 1.24.1, haproxy unknown"
    assert beside.events == [GONE, "started", GONE]


@pytest.mark.parametrize(
    ("given", "said"), [({"is_ready": False}, "PgBouncer, session: "), ({"starts": False}, "could not be started")]
)
def test_pgbouncer_that_does_not_serve_is_taken_away(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, bool], said: str
) -> None:
    beside = Beside(monkeypatch, **given)
    with pytest.raises(errors.PoolkeeperError, match=said), pgbouncer.endpoints(PLACE, Silent()):
        pass
    assert beside.events[-1] == GONE
