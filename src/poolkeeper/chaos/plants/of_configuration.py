"""Bugs of the configuration: what is acknowledged before a standby has it, or before any disk has."""

from __future__ import annotations

from poolkeeper.chaos.plants import scenes
from poolkeeper.chaos.plants.plant import Catch, Plant
from poolkeeper.chaos.plants.settings import RoleSetting

ASYNCHRONOUS_COMMIT = Plant(
    "asynchronous_commit",
    "synchronous_commit = local for the application's role: nobody waits for a standby",
    RoleSetting("synchronous_commit", "local"),
    (scenes.CUT_ALL_THEN_KILL,),
    (Catch("set", "lost"), Catch("list_append", "lost-append")),
)

PLANTS = (ASYNCHRONOUS_COMMIT,)
