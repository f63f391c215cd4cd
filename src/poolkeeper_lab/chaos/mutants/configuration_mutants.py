"""Bugs of the configuration: what is acknowledged before a standby has it, or before any disk has."""

from __future__ import annotations

from poolkeeper_lab.chaos.mutants import mutant_scenarios
from poolkeeper_lab.chaos.mutants.mutant import Catch, Mutant
from poolkeeper_lab.chaos.mutants.setting_mutants import RoleSetting, Unflushed
from poolkeeper_lab.chaos.scenarios import moment_scenarios

ASYNCHRONOUS_COMMIT = Mutant(
    "asynchronous_commit",
    "synchronous_commit = local for the application's role: nobody waits for a standby",
    RoleSetting("synchronous_commit", "local"),
    (moment_scenarios.CUT_ALL_THEN_KILL,),
    (Catch("set", "lost"), Catch("list_append", "lost-append")),
)
FSYNC_OFF = Mutant(
    "fsync_off",
    "fsync = off on every node: nothing that is acknowledged is on a disk",
    Unflushed(),
    (mutant_scenarios.LOSE_POWER_OUT_OF_ORDER,),
    # drift: it does not start; what was seen is an empty postmaster.pid
    tuple(Catch("final_state", condition) for condition in ("rows", "amcheck", "drift")),
)

PLANTS = (ASYNCHRONOUS_COMMIT, FSYNC_OFF)
