"""Mutants of the configuration: commits are acknowledged before a standby, or before any disk, has them."""

from __future__ import annotations

from poolkeeper_lab.chaos.mutants import mutant_scenarios
from poolkeeper_lab.chaos.mutants.mutant import Catch, Mutant
from poolkeeper_lab.chaos.mutants.setting_mutants import RoleSetting, Unflushed
from poolkeeper_lab.chaos.scenarios import moment_scenarios

ASYNCHRONOUS_COMMIT = Mutant(
    "asynchronous_commit",
    "synchronous_commit = local for the application's role: no commit waits for a standby",
    RoleSetting("synchronous_commit", "local"),
    (moment_scenarios.CUT_ALL_THEN_KILL,),
    (Catch("set", "lost"), Catch("list_append", "lost-append")),
)
FSYNC_OFF = Mutant(
    "fsync_off",
    "fsync = off on every node: acknowledged commits are on no disk",
    Unflushed(),
    (mutant_scenarios.LOSE_POWER_OUT_OF_ORDER,),
    # drift: the server does not start; the observed cause is an empty postmaster.pid
    tuple(Catch("final_state", condition) for condition in ("rows", "amcheck", "drift")),
)

MUTANTS = (ASYNCHRONOUS_COMMIT, FSYNC_OFF)
