"""The disk of a node is full, slow, broken or damaged, or loses its power.

Invariant: where a role has to be prepared (a primary on a small disk), the step hits a standby and gives it the role.
"""

from __future__ import annotations

from collections.abc import Sequence

from poolkeeper_lab.chaos.scenarios.scenario import SHORT, ScenarioStep, row
from poolkeeper_lab.chaos.scenarios.targets import NODES, PRIMARY, STANDBY
from poolkeeper_lab.chaos.workloads import workload_tables
from poolkeeper_lab.faults import syscalls
from poolkeeper_lab.faults.damage import LoseWal, SpoilPage
from poolkeeper_lab.faults.disk_images import DiskPart
from poolkeeper_lab.faults.disks import FillDisk
from poolkeeper_lab.faults.fault_target import FaultTarget
from poolkeeper_lab.faults.power import LosePower, every_node, the_victim
from poolkeeper_lab.faults.syscalls import FSYNC, READ, WRITE, SpoilCalls, SpoilReads, failing, slow

PREPARES = 60.0  # about how long it takes to move a node's data there and back, and to recover each time
CLONES = 40.0  # about how long it takes to clone a node


def _power(target: FaultTarget, is_of_all: bool = False, as_primary: bool = False) -> ScenarioStep:
    nodes = every_node if is_of_all else the_victim
    sentence = f"{target}{' gets the role,' if as_primary else ''} dies, and its unflushed data is lost"
    return ScenarioStep(sentence, target, lambda host, victim, _: LosePower(host, victim, nodes, as_primary))


def _full(part: DiskPart, as_primary: bool) -> ScenarioStep:
    node = "a standby, which becomes primary," if as_primary else "a standby"
    return ScenarioStep(
        f"the {part} of {node} is moved to a small disk, which is then filled to its last block",
        FaultTarget.STANDBY,
        lambda host, victim, _: FillDisk(host, victim, part, workload_tables.GROWTH, as_primary),
    )


def _calls(
    target: FaultTarget,
    calls: Sequence[str],
    how: str,
    choose: syscalls.Choose = syscalls.everything,
    of: str = "processes",
) -> ScenarioStep:
    return ScenarioStep(
        f"strace injects {how} into {', '.join(calls)} of the {of} of {target}",
        target,
        lambda host, victim, _: SpoilCalls(host, victim, calls, how, choose),
    )


def _reads_of_primary() -> ScenarioStep:
    return ScenarioStep(
        f"strace injects {failing('EIO')} into {', '.join(READ)} of the processes of {PRIMARY}",
        PRIMARY,
        lambda host, victim, _: SpoilReads(host, victim, READ, failing("EIO")),
    )


def _wal_write(target: FaultTarget, error: str) -> ScenarioStep:
    return _calls(target, WRITE, failing(error), syscalls.wal_writers, "processes that write WAL")


LOST_WAL = {
    "page": "a page of the WAL of {}, behind its redo point, is overwritten",
    "segment": "the last segment of the WAL of {} is removed",
    "all": "every segment of the WAL of {} is removed",
}


def _wal_lost(what: str, is_killed: bool = False) -> ScenarioStep:
    sentence = LOST_WAL[what].format("a killed standby" if is_killed else "a stopped standby")
    return ScenarioStep(sentence, FaultTarget.STANDBY, lambda host, victim, _: LoseWal(host, victim, what, is_killed))


def _page(is_promoted: bool) -> ScenarioStep:
    node, then = ("a standby", ", and it becomes primary") if is_promoted else ("a stopped standby", "")
    return ScenarioStep(
        f"a page of an unchanging table of {node} is overwritten{then}",
        FaultTarget.STANDBY,
        lambda host, victim, _: SpoilPage(host, victim, workload_tables.STILL, is_promoted),
    )


_SPACE = (
    row("data_disk_full_of_primary", _full(DiskPart.DATA, as_primary=True), SHORT, PREPARES)
    >> "A primary whose disk is full must refuse what needs space, and lose nothing that it acknowledged",
    row("data_disk_full_of_standby", _full(DiskPart.DATA, as_primary=False), SHORT, PREPARES)
    >> "A standby whose disk is full must cost no write, and follow again when there is space",
    row("wal_disk_full_of_primary", _full(DiskPart.WAL, as_primary=True), SHORT, PREPARES)
    >> "A primary that has no space for WAL must be replaced without losing what it had acknowledged",
    row("wal_disk_full_of_standby", _full(DiskPart.WAL, as_primary=False), SHORT, PREPARES)
    >> "A standby that has no space for WAL must cost no write, and acknowledge none that it has not",
)

_CALLS = (
    row("fsync_slow_on_primary", _calls(PRIMARY, FSYNC, slow(200)))
    >> "A primary whose flushes take a fifth of a second may be slow, but must be correct",
    row("fsync_slow_on_standby", _calls(STANDBY, FSYNC, slow(500)))
    >> "A standby whose flushes take half a second must not hold back a commit that the other acknowledges",
    row("fsync_fails_on_primary", _calls(PRIMARY, FSYNC, failing("EIO")))
    >> "A primary whose flush fails must acknowledge nothing more, and be replaced",
    row("fsync_fails_on_standby", _calls(STANDBY, FSYNC, failing("EIO")))
    >> "A standby whose flush fails must acknowledge nothing more, and come back when the disk works",
    row("wal_write_finds_no_space_on_primary", _wal_write(PRIMARY, "ENOSPC"))
    >> "A primary that cannot write WAL for lack of space must acknowledge nothing more, and be replaced",
    row("wal_write_finds_no_space_on_standby", _wal_write(STANDBY, "ENOSPC"))
    >> "A standby that cannot write WAL for lack of space must cost no write, and come back",
    row("wal_write_fails_on_primary", _wal_write(PRIMARY, "EIO"))
    >> "A primary whose write of WAL fails must acknowledge nothing more, and be replaced",
    row("wal_write_fails_on_standby", _wal_write(STANDBY, "EIO"))
    >> "A standby whose write of WAL fails must cost no write, and come back",
    row("read_fails_on_primary", _reads_of_primary())
    >> "A primary that cannot read its disk must answer with an error and not with other data",
    row("read_fails_on_standby", _calls(STANDBY, READ, failing("EIO")))
    >> "A standby that cannot read its disk must answer with an error and not with other data",
)

_DAMAGE = (
    row("wal_page_damaged_on_standby", _wal_lost("page"))
    >> "A standby that finds a damaged page in its WAL must replay nothing else, and fetch it or be cloned again",
    row("wal_page_damaged_on_killed_standby", _wal_lost("page", is_killed=True))
    >> "A standby that died and finds its WAL damaged must replay nothing else, and fetch it or be cloned again",
    row("wal_segment_lost_on_standby", _wal_lost("segment"))
    >> "A standby that lost the last segment of its WAL must fetch it again",
    row("all_wal_lost_on_standby", _wal_lost("all"))
    >> "A standby that lost all of its WAL must fetch it again, or be cloned again",
    row("page_damaged_on_standby", _page(is_promoted=False), SHORT, CLONES)
    >> "A standby must refuse every read of a damaged page, and never return it as data",
    row("page_damaged_on_next_primary", _page(is_promoted=True), SHORT, PREPARES)
    >> "A primary with a damaged page must refuse that page, and serve all else as promised",
)

_POWER = (
    row("lose_power_of_every_node", _power(NODES, is_of_all=True), SHORT, PREPARES)
    >> "A loss of power of all nodes must not lose what was acknowledged: it was flushed before",
    row("lose_power_of_primary", _power(STANDBY, as_primary=True), SHORT, PREPARES)
    >> "A primary that lost its power must come back with all that it had acknowledged, or rewound",
    row("lose_power_of_standby", _power(STANDBY), SHORT, PREPARES)
    >> "A standby that lost its power must come back with the same rows, and cost no write",
)

SCENARIOS = (*_SPACE, *_CALLS, *_DAMAGE, *_POWER)
