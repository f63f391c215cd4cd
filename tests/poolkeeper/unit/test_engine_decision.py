"""The steps after which an engine answers: the decision as a table, its messages and its refusals."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from poolkeeper.core import errors
from poolkeeper.decide import engine_choice
from poolkeeper.decide.engine_choice import Borrow, Init, Install, MachineFacts, Start, Step

READY = MachineFacts(has_client=True, answers=True, has_compose=True, is_installed=True)
BARE = MachineFacts(has_client=False, answers=False, has_compose=False, is_installed=False)
DEBIAN_12: dict[str, Any] = {"distribution": "debian", "release": "12", "name": "Debian GNU/Linux 12 (bookworm)"}
DEBIAN_13: dict[str, Any] = {"distribution": "debian", "release": "13", "name": "Debian GNU/Linux 13 (trixie)"}
UBUNTU: dict[str, Any] = {"distribution": "ubuntu", "release": "24.04", "name": "Ubuntu 24.04.1 LTS"}
FEDORA: dict[str, Any] = {"distribution": "fedora", "release": "41", "name": "Fedora Linux 41"}

ENGINE = ("docker.io", "iptables")
BORROW = Borrow("docker-compose", "trixie")
BOOT = Start(Init.SYSTEMD)

PLANS: dict[str, tuple[MachineFacts, tuple[Step, ...]]] = {
    "all answers": (READY, ()),
    "all answers, whatever else is true": (
        replace(READY, is_refused=True, chosen="DOCKER_HOST=tcp://x", may_install=False, **FEDORA),
        (),
    ),
    "bare Debian 12": (replace(BARE, **DEBIAN_12), (Install(ENGINE), BORROW, BOOT)),
    "bare Debian 13": (replace(BARE, **DEBIAN_13), (Install((*ENGINE, "docker-cli", "docker-compose")), BOOT)),
    "bare Ubuntu": (replace(BARE, **UBUNTU), (Install((*ENGINE, "docker-compose-v2")), BOOT)),
    "bare Debian 12 that confines programs": (
        replace(BARE, has_apparmor=True, **DEBIAN_12),
        (Install((*ENGINE, "apparmor")), BORROW, BOOT),
    ),
    "client only, no init": (
        replace(BARE, has_client=True, init=Init.NONE, **DEBIAN_12),
        (Install(ENGINE), BORROW, Start(Init.NONE)),
    ),
    "client only, Debian 13": (
        replace(BARE, has_client=True, **DEBIAN_13),
        (Install((*ENGINE, "docker-compose")), BOOT),
    ),
    "client and Compose, no engine": (
        replace(BARE, has_client=True, has_compose=True, **UBUNTU),
        (Install(ENGINE), BOOT),
    ),
    "only Compose missing, Debian 12": (replace(READY, has_compose=False, **DEBIAN_12), (BORROW,)),
    "only Compose missing, Debian 13": (
        replace(READY, has_compose=False, **DEBIAN_13),
        (Install(("docker-compose",)),),
    ),
    "only Compose missing, Ubuntu": (
        replace(READY, has_compose=False, **UBUNTU),
        (Install(("docker-compose-v2",)),),
    ),
    "Compose missing, an engine elsewhere answers": (
        replace(READY, has_compose=False, is_installed=False, chosen="DOCKER_HOST=tcp://x", **DEBIAN_13),
        (Install(("docker-compose",)),),
    ),
    "stopped, systemd": (replace(READY, answers=False), (BOOT,)),
    "stopped, another init": (replace(READY, answers=False, init=Init.SERVICE), (Start(Init.SERVICE),)),
    "stopped, no init": (replace(READY, answers=False, init=Init.NONE), (Start(Init.NONE),)),
    "stopped, any distribution": (replace(READY, answers=False, **FEDORA), (BOOT,)),
    "stopped, and Compose missing": (replace(READY, answers=False, has_compose=False, **DEBIAN_12), (BORROW, BOOT)),
    "engine without its client, Debian 13": (
        replace(BARE, is_installed=True, **DEBIAN_13),
        (Install(("docker-cli", "docker-compose")), BOOT),
    ),
}


@pytest.mark.parametrize("case", PLANS)
def test_the_steps_follow_from_the_facts(case: str) -> None:
    facts, steps = PLANS[case]
    assert engine_choice.plan(facts) == steps


REFUSALS: dict[str, tuple[MachineFacts, type[errors.PoolkeeperError], str, str]] = {
    "permission denied": (
        replace(READY, answers=False, is_refused=True),
        errors.PermissionRefused,
        "may not use its socket",
        "usermod -aG docker",
    ),
    "permission denied comes before a missing Compose": (
        replace(READY, answers=False, is_refused=True, has_compose=False, may_install=False, **FEDORA),
        errors.PermissionRefused,
        "may not use its socket",
        "sudo",
    ),
    "DOCKER_HOST does not answer": (
        replace(BARE, has_client=True, chosen="DOCKER_HOST=tcp://10.0.0.1:2375", **DEBIAN_12),
        errors.EngineMissing,
        "DOCKER_HOST=tcp://10.0.0.1:2375",
        "unset DOCKER_HOST",
    ),
    "a context does not answer, an own engine is stopped": (
        replace(READY, answers=False, chosen="docker context desk (unix:///x.sock)"),
        errors.EngineMissing,
        "docker context desk",
        "docker context use default",
    ),
    "bare, not root": (
        replace(BARE, may_install=False, **DEBIAN_12),
        errors.EngineMissing,
        "no container engine is installed here, and this user may not install",
        "as root or with sudo",
    ),
    "Compose missing, not root": (
        replace(READY, has_compose=False, may_install=False, **UBUNTU),
        errors.EngineMissing,
        "Compose v2 is missing",
        "as root or with sudo",
    ),
    "stopped, not root, systemd": (
        replace(READY, answers=False, may_install=False),
        errors.EngineMissing,
        "installed but not running",
        "sudo systemctl start docker",
    ),
    "stopped, not root, no init": (
        replace(READY, answers=False, may_install=False, init=Init.NONE),
        errors.EngineMissing,
        "installed but not running",
        "as root: dockerd",
    ),
    "bare, another distribution": (
        replace(BARE, **FEDORA),
        errors.EngineMissing,
        "this is Fedora Linux 41",
        "Install and start Docker Engine",
    ),
    "Debian 11": (
        replace(BARE, distribution="debian", release="11", name="Debian GNU/Linux 11"),
        errors.EngineMissing,
        "only on Debian 12, Debian 13 and Ubuntu",
        "Docker Engine",
    ),
    "Compose missing, another distribution": (
        replace(READY, has_compose=False, **FEDORA),
        errors.EngineMissing,
        "Docker is installed but Compose v2 is missing",
        "docker compose version",
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_a_refusal_names_the_fault_and_the_next_step(case: str) -> None:
    facts, kind, message, hint = REFUSALS[case]
    with pytest.raises(kind) as refusal:
        engine_choice.plan(facts)
    assert type(refusal.value) is kind
    assert message in refusal.value.message
    assert hint in refusal.value.hint


def test_each_step_is_described_in_one_line() -> None:
    steps = engine_choice.plan(replace(BARE, init=Init.NONE, **DEBIAN_12))
    lines = engine_choice.describe(steps, DEBIAN_12["name"])
    assert len(lines) == len(steps)
    assert "docker.io, iptables" in lines[0]
    assert DEBIAN_12["name"] in lines[0]
    assert "suite trixie (this one package, nothing else)" in lines[1]
    assert "directly" in lines[2]
    assert engine_choice.describe((BOOT,), "x") == ("starting the engine by systemd",)
