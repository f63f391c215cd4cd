"""The disk of a node is full, slow, broken or damaged, or loses its power.

Invariant: where a role has to be prepared (a primary on a small disk), the act meets a standby and gives it the role.
"""

from __future__ import annotations

from collections.abc import Sequence

from poolkeeper_lab.chaos.scenarios.scenario import SHORT, Scenario, ScenarioStep
from poolkeeper_lab.chaos.workloads import workload_tables
from poolkeeper_lab.faults import syscalls
from poolkeeper_lab.faults.damage import LoseWal, SpoilPage
from poolkeeper_lab.faults.disk_images import DiskPart
from poolkeeper_lab.faults.disks import FillDisk
from poolkeeper_lab.faults.fault_target import FaultTarget
from poolkeeper_lab.faults.power import LosePower, every_node, the_victim
from poolkeeper_lab.faults.syscalls import FSYNC, READ, WRITE, SpoilCalls, SpoilReads, failing, slow

PREPARES = 60.0  # about how long it takes to move a node's data there and back, and to be whole each time
CLONES = 40.0


def _power(sentence: str, target: FaultTarget, is_of_all: bool = False, as_primary: bool = False) -> ScenarioStep:
    who = every_node if is_of_all else the_victim
    return ScenarioStep(sentence, target, lambda host, victim, _: LosePower(host, victim, who, as_primary))


def _full(part: DiskPart, as_primary: bool) -> ScenarioStep:
    who = "a standby, which is made primary," if as_primary else "a standby"
    return ScenarioStep(
        f"the {part} of {who} is moved to a small disk, which is then filled to its last block",
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


def _wal_write(target: FaultTarget, error: str) -> ScenarioStep:
    return _calls(target, WRITE, failing(error), syscalls.wal_writers, "processes that write WAL")


def _wal_lost(sentence: str, what: str, is_killed: bool = False) -> ScenarioStep:
    return ScenarioStep(sentence, FaultTarget.STANDBY, lambda host, victim, _: LoseWal(host, victim, what, is_killed))


def _page(sentence: str, is_promoted: bool) -> ScenarioStep:
    return ScenarioStep(
        sentence,
        FaultTarget.STANDBY,
        lambda host, victim, _: SpoilPage(host, victim, workload_tables.STILL, is_promoted),
    )


_SPACE = (
    Scenario(
        "data_disk_full_of_primary",
        "A primary whose disk is full must refuse what needs space, and lose nothing that it acknowledged",
        (_full(DiskPart.DATA, as_primary=True),),
        SHORT,
        PREPARES,
    ),
    Scenario(
        "data_disk_full_of_standby",
        "A standby whose disk is full must cost no write, and follow again when there is space",
        (_full(DiskPart.DATA, as_primary=False),),
        SHORT,
        PREPARES,
    ),
    Scenario(
        "wal_disk_full_of_primary",
        "A primary that has no space for WAL must be replaced without losing what it had acknowledged",
        (_full(DiskPart.WAL, as_primary=True),),
        SHORT,
        PREPARES,
    ),
    Scenario(
        "wal_disk_full_of_standby",
        "A standby that has no space for WAL must cost no write, and acknowledge none that it has not",
        (_full(DiskPart.WAL, as_primary=False),),
        SHORT,
        PREPARES,
    ),
)

_CALLS = (
    Scenario(
        "fsync_slow_on_primary",
        "A primary whose flushes take a fifth of a second must be slow, and right",
        (_calls(FaultTarget.PRIMARY, FSYNC, slow(200)),),
    ),
    Scenario(
        "fsync_slow_on_standby",
        "A standby whose flushes take half a second must not hold back a commit that the other acknowledges",
        (_calls(FaultTarget.STANDBY, FSYNC, slow(500)),),
    ),
    Scenario(
        "fsync_fails_on_primary",
        "A primary whose flush fails must acknowledge nothing more, and be replaced",
        (_calls(FaultTarget.PRIMARY, FSYNC, failing("EIO")),),
    ),
    Scenario(
        "fsync_fails_on_standby",
        "A standby whose flush fails must acknowledge nothing more, and come back when the disk works",
        (_calls(FaultTarget.STANDBY, FSYNC, failing("EIO")),),
    ),
    Scenario(
        "wal_write_finds_no_space_on_primary",
        "A primary that cannot write WAL for want of space must acknowledge nothing more, and be replaced",
        (_wal_write(FaultTarget.PRIMARY, "ENOSPC"),),
    ),
    Scenario(
        "wal_write_finds_no_space_on_standby",
        "A standby that cannot write WAL for want of space must cost no write, and come back",
        (_wal_write(FaultTarget.STANDBY, "ENOSPC"),),
    ),
    Scenario(
        "wal_write_fails_on_primary",
        "A primary whose write of WAL fails must acknowledge nothing more, and be replaced",
        (_wal_write(FaultTarget.PRIMARY, "EIO"),),
    ),
    Scenario(
        "wal_write_fails_on_standby",
        "A standby whose write of WAL fails must cost no write, and come back",
        (_wal_write(FaultTarget.STANDBY, "EIO"),),
    ),
    Scenario(
        "read_fails_on_primary",
        "A primary that cannot read its disk must answer with an error and not with other data",
        (
            ScenarioStep(
                f"strace injects {failing('EIO')} into {', '.join(READ)} of the processes of {FaultTarget.PRIMARY}",
                FaultTarget.PRIMARY,
                lambda host, victim, _: SpoilReads(host, victim, READ, failing("EIO")),
            ),
        ),
    ),
    Scenario(
        "read_fails_on_standby",
        "A standby that cannot read its disk must answer with an error and not with other data",
        (_calls(FaultTarget.STANDBY, READ, failing("EIO")),),
    ),
)

_DAMAGE = (
    Scenario(
        "wal_page_damaged_on_standby",
        "A standby that finds a damaged page in its WAL must replay nothing else, and fetch it or be cloned anew",
        (_wal_lost("a page of the WAL of a stopped standby, behind its redo point, is overwritten", "page"),),
    ),
    Scenario(
        "wal_page_damaged_on_killed_standby",
        "A standby that died and finds its WAL damaged must replay nothing else, and fetch it or be cloned anew",
        (_wal_lost("a page of the WAL of a killed standby, behind its redo point, is overwritten", "page", True),),
    ),
    Scenario(
        "wal_segment_lost_on_standby",
        "A standby that lost the last segment of its WAL must fetch it anew",
        (_wal_lost("the last segment of the WAL of a stopped standby is removed", "segment"),),
    ),
    Scenario(
        "all_wal_lost_on_standby",
        "A standby that lost all of its WAL must fetch it anew, or be cloned anew",
        (_wal_lost("every segment of the WAL of a stopped standby is removed", "all"),),
    ),
    Scenario(
        "page_damaged_on_standby",
        "A damaged page of a standby must be refused to whoever reads it, and never be given as data",
        (_page("a page of a still table of a stopped standby is overwritten", is_promoted=False),),
        recovers=CLONES,
    ),
    Scenario(
        "page_damaged_on_next_primary",
        "A primary with a damaged page must refuse that page, and serve all else as promised",
        (_page("a page of a still table of a standby is overwritten, and it is made primary", is_promoted=True),),
        recovers=PREPARES,
    ),
)

_POWER = (
    Scenario(
        "lose_power_of_every_node",
        "A loss of power of all nodes must not lose what was acknowledged: it was flushed before",
        (
            _power(
                "every node dies, and what its file system had not flushed is gone", FaultTarget.NODES, is_of_all=True
            ),
        ),
        SHORT,
        PREPARES,
    ),
    Scenario(
        "lose_power_of_primary",
        "A primary that lost its power must come back with all that it had acknowledged, or rewound",
        (
            _power(
                "a standby gets the role, dies, and what its file system had not flushed is gone",
                FaultTarget.STANDBY,
                as_primary=True,
            ),
        ),
        SHORT,
        PREPARES,
    ),
    Scenario(
        "lose_power_of_standby",
        "A standby that lost its power must come back with the same rows, and cost no write",
        (_power("a standby dies, and what its file system had not flushed is gone", FaultTarget.STANDBY),),
        SHORT,
        PREPARES,
    ),
)

SCENARIOS = (*_SPACE, *_CALLS, *_DAMAGE, *_POWER)
