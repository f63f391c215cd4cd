"""The plan of `up`: an ordered list of steps, each with its reason, printable as text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Action(StrEnum):
    """The kinds of step, from the least to the most disruptive."""

    START = "start"  # create what is missing, start what is stopped
    ATTACH = "attach"  # let Pgpool-II use a node again
    RELOAD = "reload"  # read the configuration again; no session ends
    PATCH = "patch"  # change Patroni's shared configuration
    RESTART_POSTGRES = "restart PostgreSQL"  # in place, by Patroni; the lease stays
    RESTART = "restart"  # the container
    RECREATE = "recreate"  # a new container; its volume stays
    REMOVE = "remove"  # a service that is no longer declared, with its volume


@dataclass(frozen=True)
class PlanStep:
    """One step: an action on some services, with its reason."""

    action: Action
    services: tuple[str, ...]
    why: str
    change: Mapping[str, Any] = field(default_factory=dict)  # PATCH only

    def __str__(self) -> str:
        return f"{self.action.value} {', '.join(self.services)}: {self.why}"


@dataclass(frozen=True)
class Plan:
    """The steps in their order; empty if there is nothing to do."""

    steps: tuple[PlanStep, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to do."""
        return not self.steps

    def __str__(self) -> str:
        return "\n".join(f"{i}. {step}" for i, step in enumerate(self.steps, start=1)) or "nothing to do"
