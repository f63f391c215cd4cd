"""Why a server does not start, from the last lines of its log."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.poolkeeper.unit import snapshots

from poolkeeper.decide import health, start_failure
from poolkeeper.model.assessment import FindingKind

STAMP = "2026-12-01 04:00:00.123 UTC [55] "
READY = STAMP + "LOG:  database system is ready to accept read-only connections"
CRASH = [
    STAMP + "LOG:  redo starts at 0/3000028",
    STAMP + 'FATAL:  directory "/srv/fast" does not exist',
    STAMP + "HINT:  Create this directory for the tablespace before restarting the server.",
    STAMP + 'CONTEXT:  WAL redo at 0/5000A08 for Tablespace/CREATE: 16400 "/srv/fast"',
    STAMP + "LOG:  startup process (PID 60) exited with exit code 1",
    "INFO: no action. I am (pg_node2), a secondary, and following a leader (pg_node1)",
]
TABLESPACE = (
    'FATAL: directory "/srv/fast" does not exist '
    "(Create this directory for the tablespace before restarting the server.)"
)


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ([], ""),
        ([READY], ""),
        (CRASH, TABLESPACE),
        ([READY, *CRASH], TABLESPACE),
        ([*CRASH, *CRASH], TABLESPACE),
        ([*CRASH, READY], ""),
        (
            [STAMP + "PANIC:  could not locate a valid checkpoint record at 0/2000028"],
            "PANIC: could not locate a valid checkpoint record at 0/2000028",
        ),
        (
            ['FATAL:  configuration file "/x/postgresql.conf" contains errors'],
            'FATAL: configuration file "/x/postgresql.conf" contains errors',
        ),
        ([*CRASH, STAMP + "FATAL:  the database system is starting up"], TABLESPACE),
        (
            [STAMP + "FATAL:  lock file is damaged (see above)", STAMP + "HINT:  Remove it.", STAMP + "HINT:  Twice."],
            "FATAL: lock file is damaged (see above) (Remove it.)",
        ),
    ],
)
def test_the_last_reason_counts_until_the_server_is_ready(lines: list[str], reason: str) -> None:
    assert start_failure.reason(lines) == reason


@pytest.mark.parametrize(
    "message",
    [
        "the database system is starting up",
        "the database system is not yet accepting connections",
        "terminating connection due to administrator command",
        "terminating walreceiver process due to administrator command",
        'password authentication failed for user "app"',
        'no pg_hba.conf entry for host "10.8.0.1"',
        'role "someone" does not exist',
        'database "none" does not exist',
        "sorry, too many clients already",
        "remaining connection slots are reserved for roles with the SUPERUSER attribute",
        'could not connect to the primary server: connection to server at "10.8.0.11" failed',
        "could not receive data from WAL stream: server closed the connection unexpectedly",
        'could not start WAL streaming: ERROR:  replication slot "pg_node2" does not exist',
    ],
)
def test_the_end_of_a_session_is_no_reason(message: str) -> None:
    assert start_failure.reason([STAMP + f"FATAL:  {message}"]) == ""


def test_a_missing_tablespace_directory_has_its_way_out() -> None:
    assert start_failure.way_out(TABLESPACE, "blue_pg_node2").endswith(
        "docker exec --user 0 blue_pg_node2 install -d -o postgres -g postgres -m 0700 /srv/fast"
    )
    assert "reinit" in start_failure.way_out("PANIC: could not locate a valid checkpoint record", "pg_node2")


def test_status_names_the_reason_and_the_way_out() -> None:
    seen = snapshots.healthy()
    broken = replace(seen, failed_starts={"pg_node2": TABLESPACE})
    found = health.assess(snapshots.SPEC, broken)
    (finding,) = (finding for finding in found.findings if finding.subject == "pg_node2")
    assert finding.kind is FindingKind.FAULT
    assert "PostgreSQL does not start: FATAL: directory" in finding.message
    assert "install -d" in finding.message
