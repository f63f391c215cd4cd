"""`engine`: bring a fresh machine to a container engine that answers: probe, decide, announce, do.

Invariant: if Docker Engine and Compose v2 answer, nothing is changed; each installation is announced before it begins.
Interrupted at any moment, the same call completes it. Not promised: an upgrade of an installed engine.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from poolkeeper.core import errors, file_modes
from poolkeeper.decide import engine_choice
from poolkeeper.system import apt, docker_engine


@dataclass(frozen=True)
class EngineInfo:
    """The engine in use, whether this call started it, and the packages that this call installed."""

    engine_version: str
    compose_version: str
    started_by_us: bool = False
    installed: tuple[str, ...] = ()


def ensure(say: Callable[[str], None], log: Path) -> EngineInfo:
    """Install and start what is missing until an engine with Compose v2 answers.

    `say` takes one line of progress at a time; `log` is the log file of a dockerd that is started directly, in a folder
    that is created if it is missing.

    Raises:
        EngineMissing: it may not be installed or started here.
        PermissionRefused: the engine's socket refuses this user.
        EngineFailed: a mirror, an installation or the start failed.
    """
    file_modes.make_folder(log.parent, file_modes.PRIVATE_FOLDER)
    state = docker_engine.probe()
    steps = engine_choice.plan(facts(state))
    for step, sentence in zip(steps, engine_choice.describe(steps, apt.distribution().name), strict=True):
        begin = time.monotonic()
        say(f"{sentence} …")
        _do(step, log)
        say(f"  done in {time.monotonic() - begin:.1f} s")
    return _info(docker_engine.probe() if steps else state, steps)


def facts(state: docker_engine.EngineState) -> engine_choice.MachineFacts:
    """Return the facts to decide on. If the engine and Compose answer, sudo and the distribution are not checked."""
    if state.answers and state.has_compose:
        return engine_choice.MachineFacts(
            has_client=True, answers=True, has_compose=True, is_installed=state.is_installed
        )
    distribution = apt.distribution()
    return engine_choice.MachineFacts(
        has_client=bool(state.client),
        answers=state.answers,
        has_compose=state.has_compose,
        is_installed=state.is_installed,
        is_refused=state.is_refused,
        chosen=state.chosen,
        may_install=apt.root_prefix() is not None,
        distribution=distribution.id,
        release=distribution.release,
        name=distribution.name,
        init=engine_choice.Init(docker_engine.init_system()),
        has_apparmor=docker_engine.has_apparmor(),
    )


def _do(step: engine_choice.Step, log: Path) -> None:
    match step:
        case engine_choice.Install(packages):
            apt.install(packages)
        case engine_choice.Borrow(package, suite):
            apt.borrow(package, suite)
        case engine_choice.Start(by):
            docker_engine.start(by.value, log)


def _info(state: docker_engine.EngineState, steps: tuple[engine_choice.Step, ...]) -> EngineInfo:
    """Check what answers now: an engine that is installed and started may still refuse this user."""
    if state.is_refused:
        engine_choice.plan(facts(state))
    if not (state.answers and state.has_compose):
        raise errors.EngineFailed(
            "Docker was installed and started, but "
            + ("Compose v2" if state.answers else "the engine")
            + " does not answer",
            hint="Run `docker version` and `docker compose version` to see why.",
            detail=state.complaint,
        )
    return EngineInfo(
        engine_version=state.engine_version,
        compose_version=state.compose_version,
        started_by_us=any(isinstance(step, engine_choice.Start) for step in steps),
        installed=tuple(name for step in steps for name in _names(step)),
    )


def _names(step: engine_choice.Step) -> tuple[str, ...]:
    match step:
        case engine_choice.Install(packages):
            return packages
        case engine_choice.Borrow(package, _):
            return (package,)
        case engine_choice.Start():
            return ()
