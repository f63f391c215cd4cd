"""The endpoints, Pgpool-II and HAProxy, die or are frozen."""

from __future__ import annotations

from poolkeeper_lab.chaos.scenarios.process_groups import FIRST
from poolkeeper_lab.chaos.scenarios.scenario import PROCESS, SHORT, WITHIN_LEASE, killed, of_drill, paused, row
from poolkeeper_lab.chaos.scenarios.targets import BALANCED_ENDPOINT, HAPROXY, RO_ENDPOINT, RW_ENDPOINT

SCENARIOS = (
    of_drill("kill_pgpool", SHORT, PROCESS)
    >> "The death of the read-write endpoint's Pgpool-II must make no statement run twice",
    row("kill_pgpool_ro", killed(RO_ENDPOINT, FIRST), SHORT, PROCESS)
    >> "The death of the read-only endpoint's Pgpool-II must not let a write or an old read through",
    row("kill_pgpool_balanced", killed(BALANCED_ENDPOINT, FIRST), SHORT, PROCESS)
    >> "The death of the balanced endpoint's Pgpool-II must lose no write that it had passed on",
    row("freeze_pgpool", paused(RW_ENDPOINT), WITHIN_LEASE, PROCESS)
    >> "A statement that waits in a frozen Pgpool-II must take effect once or not at all",
    of_drill("kill_haproxy", SHORT, PROCESS) >> "The death of HAProxy must cost no more than sessions",
    row("freeze_haproxy", paused(HAPROXY), WITHIN_LEASE, PROCESS)
    >> "A statement that waits in a frozen HAProxy must take effect once or not at all",
)
