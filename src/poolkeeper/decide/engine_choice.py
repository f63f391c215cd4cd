"""The steps after which a container engine with Compose v2 answers: pure, from facts to steps.

Invariant: an engine that answers is used as it is, and nothing is changed. No step is planned that this user may not
do, or that bypasses an engine which the user chose (DOCKER_HOST, a Docker context). Every refusal names one next step.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from poolkeeper.core import errors


class Init(StrEnum):
    """The init system of this machine; none: as in a container, where programs are started directly."""

    SYSTEMD = "systemd"
    SERVICE = "service"
    NONE = "none"


@dataclass(frozen=True)
class MachineFacts:
    """The facts about this machine. `chosen` names an engine that the user chose, as "DOCKER_HOST=tcp://…"."""

    has_client: bool
    answers: bool
    has_compose: bool
    is_installed: bool  # the engine's own program, not the client
    is_refused: bool = False  # it runs, and this user may not use its socket
    chosen: str = ""
    may_install: bool = True  # root, or sudo without a password, and apt
    distribution: str = ""  # os-release's ID
    release: str = ""  # its VERSION_ID
    name: str = "this system"
    init: Init = Init.SYSTEMD
    has_apparmor: bool = False  # the kernel enforces it, so the engine needs its parser


@dataclass(frozen=True)
class Install:
    """Packages of the distribution."""

    packages: tuple[str, ...]


@dataclass(frozen=True)
class Borrow:
    """One package of another suite of the distribution's own archive, and nothing else from there."""

    package: str
    suite: str


@dataclass(frozen=True)
class Start:
    """Start the installed engine."""

    by: Init


Step = Install | Borrow | Start


@dataclass(frozen=True)
class _Offer:
    """A distribution's names of the packages, from its archive's indexes."""

    compose: Install | Borrow
    client: str  # the package with /usr/bin/docker


# Debian 12 has Compose 1.29 only; the package of Debian 13 needs no more than libc6 2.34, which Debian 12 has.
_DEBIAN_12 = _Offer(Borrow("docker-compose", "trixie"), "docker.io")
_DEBIAN_13 = _Offer(Install(("docker-compose",)), "docker-cli")
_UBUNTU = _Offer(Install(("docker-compose-v2",)), "docker.io")
_BY_HAND = (
    "Install and start Docker Engine with Compose v2 (`docker compose version` must answer), then run this again."
)


def plan(facts: MachineFacts) -> tuple[Step, ...]:
    """Return the steps, in order; none where the engine and Compose v2 answer.

    Raises:
        PermissionRefused: if the socket refuses this user.
        EngineMissing: if the chosen engine does not answer, or a needed step may not be done here.
    """
    if facts.answers and facts.has_compose:
        return ()
    _refuse_if_closed(facts)
    install = _installations(facts)
    start = () if facts.answers else (Start(facts.init),)
    if not facts.may_install:
        _refuse_rights(facts, bool(install))
    return (*install, *start)


def describe(steps: tuple[Step, ...], name: str) -> tuple[str, ...]:
    """Return one line for each step, to be shown before it is done. `name` is the distribution's."""
    return tuple(_sentence(step, name) for step in steps)


def _sentence(step: Step, name: str) -> str:
    match step:
        case Install(packages):
            return f"installing from the packages of {name}: {', '.join(packages)}"
        case Borrow(package, suite):
            return (
                f"installing {package} from this machine's own mirror, suite {suite} (this one package, nothing else)"
            )
        case Start(Init.NONE):
            return "starting the engine (dockerd) directly, as no init system runs here"
        case Start(by):
            return f"starting the engine by {by}"


def _refuse_if_closed(facts: MachineFacts) -> None:
    """Refuse an engine that runs or was chosen, and that this user cannot reach: nothing needs to be installed."""
    if facts.is_refused:
        raise errors.PermissionRefused(
            "Docker runs, but this user may not use its socket",
            hint="Run this with sudo; or once: sudo usermod -aG docker $USER, then log out and in again.",
        )
    if facts.chosen and not facts.answers:
        raise errors.EngineMissing(
            f"the engine that you chose does not answer: {facts.chosen}",
            hint="Start it; or unset DOCKER_HOST (`docker context use default`) to use this machine's own engine.",
        )


def _installations(facts: MachineFacts) -> tuple[Step, ...]:
    """Return the installations of what is missing. Raises EngineMissing on a distribution with unknown packages."""
    needs_engine = not facts.answers and not facts.is_installed
    if facts.has_compose and facts.has_client and not needs_engine:
        return ()
    offer = _offer(facts)
    packages = _engine_packages(facts, offer, needs_engine)
    if not facts.has_compose and isinstance(offer.compose, Install):
        packages += offer.compose.packages
    borrowed = (offer.compose,) if not facts.has_compose and isinstance(offer.compose, Borrow) else ()
    return (*((Install(packages),) if packages else ()), *borrowed)


def _engine_packages(facts: MachineFacts, offer: _Offer, needs_engine: bool) -> tuple[str, ...]:
    engine = ("docker.io", "iptables") if needs_engine else ()
    confinement = ("apparmor",) if needs_engine and facts.has_apparmor else ()
    client = () if facts.has_client or offer.client in engine else (offer.client,)
    return engine + client + confinement


def _offer(facts: MachineFacts) -> _Offer:
    match facts.distribution, facts.release.split(".")[0]:
        case "debian", "12":
            return _DEBIAN_12
        case "debian", "13":
            return _DEBIAN_13
        case "ubuntu", _:
            return _UBUNTU
    raise errors.EngineMissing(
        f"{_missing(facts)}, and Poolkeeper installs packages only on Debian 12, Debian 13 and Ubuntu"
        f" (this is {facts.name})",
        hint=_BY_HAND,
    )


def _refuse_rights(facts: MachineFacts, installs: bool) -> None:
    if installs:
        raise errors.EngineMissing(
            f"{_missing(facts)}, and this user may not install packages (not root, and sudo asks for a password)",
            hint=f"Run this once as root or with sudo. Or: {_BY_HAND[0].lower()}{_BY_HAND[1:]}",
        )
    command = {Init.SYSTEMD: "sudo systemctl start docker", Init.SERVICE: "sudo service docker start"}
    raise errors.EngineMissing(
        "Docker is installed but not running, and this user may not start it",
        hint=f"Start it ({command.get(facts.init, 'as root: dockerd')}), then run this again.",
    )


def _missing(facts: MachineFacts) -> str:
    if facts.answers or facts.is_installed:
        return (
            "Docker is installed but Compose v2 is missing" if not facts.has_compose else "Docker's client is missing"
        )
    return "no container engine is installed here"
