"""Bugs on our own side of the doors: of a client, of a fault's healing, of a checker. The cluster is not changed."""

from __future__ import annotations

from typing import Any

from poolkeeper.chaos import judgement, self_test
from poolkeeper.chaos.gear import Gear
from poolkeeper.chaos.history import Completion, History
from poolkeeper.chaos.judgement import Judged
from poolkeeper.chaos.plants import scenes
from poolkeeper.chaos.plants.change import Outside
from poolkeeper.chaos.plants.plant import LAST_SECONDS, Catch, Plant, Sighting, brisk
from poolkeeper.chaos.recorder import Recorder
from poolkeeper.chaos.scenarios import of_moments

FALSE_ALARM = "false alarm"


class TrustingRecorder(Recorder):
    """Takes a COMMIT for acknowledged whatever warning it came with, as most drivers do."""

    def ok(self, number: int, result: Any = None, *, warning: str = "") -> None:
        del warning
        super().ok(number, result)


def by_ignoring_info(history: History, judged: Judged) -> Sighting | None:
    """A checker that leaves out what nobody was told of accuses a cluster that the real one finds no anomaly in."""
    if any(finding.anomalies for finding in judged.findings) or not history.count(Completion.INFO):
        return None
    for finding in judgement.judge(self_test.without_info(history)).findings:
        for anomaly in finding.anomalies:
            return Sighting(Catch(f"{finding.checker} without info", FALSE_ALARM), f"{anomaly.name}: {anomaly.text}")
    return None


WARNING_AS_SUCCESS = Plant(
    "warning_as_success",
    "a client takes a COMMIT with WARNING 01000 for acknowledged",
    Outside(),
    (scenes.CUT_CANCEL_THEN_KILL,),
    (Catch("set", "lost"),),
    Gear(brisk, TrustingRecorder, LAST_SECONDS),
)
FORGOTTEN_RULE = Plant(
    "forgotten_rule",
    "the healing of a cut forgets one rule of the packet filter",
    Outside(),
    (scenes.FORGETFUL,),
    (Catch("after", "drift"), Catch("after", "heal")),
)
INFO_IGNORED = Plant(
    "info_ignored",
    "a checker leaves out the operations of which nobody was told what became",
    Outside(),
    (scenes.KILL_PGPOOL, of_moments.LATE_COMMITS_THEN_KILL, scenes.KILL_POSTMASTER),
    (Catch("any checker without info", FALSE_ALARM),),
    look=by_ignoring_info,
)

PLANTS = (WARNING_AS_SUCCESS, FORGOTTEN_RULE, INFO_IGNORED)
