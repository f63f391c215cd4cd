"""before_stop.sh stops a server that takes sessions, and leaves one in crash recovery to Patroni, which stops it hard.

Why: a fast stop during crash recovery notes "shut down in recovery" and no end of the WAL, which pg_rewind believes.
"""

from __future__ import annotations

import pytest
from tests.poolkeeper.integration.conftest import ROOT

from poolkeeper.system import process

pytestmark = pytest.mark.integration

# In one container: a server, perhaps crashed with much WAL to replay, is stopped by what is given in the middle of it.
SCRIPT = r"""
set -e
printf '#!/bin/sh\n' > /usr/local/bin/haproxy_node.sh; chmod +x /usr/local/bin/haproxy_node.sh
as() { su postgres -c "PATH=$PATH POOLKEEPER_DATA=/tmp/d $1"; }
as "initdb -k -D /tmp/d" > /tmp/initdb 2>&1
as "pg_ctl -D /tmp/d -w -s -o '-c max_wal_size=8GB' -l /tmp/log start"
if [ "$1" = crashed ]; then
  as "psql -qc 'create table t as select generate_series(1, 1500000) i'"
  as "psql -qc 'update t set i = i + 1'"
  as "pg_ctl -D /tmp/d -m immediate -s stop"
  as "pg_ctl -D /tmp/d -W -s -o '-c max_wal_size=8GB' -l /tmp/log start"
  for i in $(seq 1 500); do grep -q 'redo starts' /tmp/log && break; sleep 0.01; done
fi
as "$2"
as "pg_controldata /tmp/d" | sed -n 's/Database cluster state: *//p'
"""
OURS = "bash /before_stop.sh"
FAST = "pg_ctl stop -D /tmp/d -m fast -s"


@pytest.mark.parametrize(
    ("server", "command", "expected"),
    [
        ("running", OURS, "shut down"),
        ("crashed", OURS, "in crash recovery"),
        ("crashed", FAST, "shut down in recovery"),  # what it guards against
    ],
)
def test_the_state_after_the_stop(images: dict[str, str], server: str, command: str, expected: str) -> None:
    script = ROOT / "src/poolkeeper/images/postgres" / "before_stop.sh"
    flags = ("--rm", "--network", "none", "--label", "poolkeeper.test=1", "-v", f"{script}:/before_stop.sh:ro")
    argv = ["docker", "run", *flags, "--entrypoint", "bash", images["postgres"], "-c", SCRIPT, "-", server, command]
    assert process.check(argv, timeout=120).splitlines()[-1] == expected
