"""The server processes that a node ends before its promotion, by title: those of sessions that came through HAProxy."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[3] / "src/poolkeeper/images/postgres/before_promotion.sh"
SETTINGS = "POOLKEEPER_HAPROXY_ADDRESS=10.8.0.100 POOLKEEPER_HAPROXY=haproxy_pgpool:9990 POOLKEEPER_SUPERUSER=postgres"


def is_of_the_endpoint(title: str, sockets: str) -> bool:
    """Run the script's own function, taken from its text."""
    found = re.search(r"^names=.*?^}$", SCRIPT.read_text(), re.M | re.S)
    assert found
    text = f'export {SETTINGS} POOLKEEPER_SOCKETS={sockets}\n{found[0]}\nis_of_the_endpoint "$1"'
    return subprocess.run(["bash", "-c", text, "bash", title], check=False).returncode == 0


@pytest.mark.parametrize(
    ("title", "by_address", "by_socket"),
    [
        ("app app 10.8.0.100(4411) idle", True, True),
        ("app app haproxy_pgpool.poolkeeper(4411) idle", True, True),  # log_hostname
        ("app app 10.8.0.1(4411) idle", False, False),
        ("app app 10.8.0.1001(4411) idle", False, False),
        ("app app [local] idle", False, True),
        ("app postgres [local] idle", False, True),  # a database with the superuser's name
        ("postgres postgres [local] idle", False, False),  # Patroni's own
        ("postgres app [local] SELECT", False, False),
        ("walsender replicator [local] idle", False, False),
        ("checkpointer ", False, False),
    ],
)
def test_sessions_that_came_through_haproxy_are_ended(title: str, by_address: bool, by_socket: bool) -> None:
    title = f"postgres: poolkeeper: {title}"
    assert (is_of_the_endpoint(title, ""), is_of_the_endpoint(title, "/run/sockets/pg_node1")) == (
        by_address,
        by_socket,
    )


def test_another_program_is_never_ended() -> None:
    assert not is_of_the_endpoint("psql app app [local] 10.8.0.100(4411) idle", "/run/sockets/pg_node1")
