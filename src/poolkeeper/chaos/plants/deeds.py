"""What the scenarios of the self-test do beside the faults of every run: the moments in which a planted bug must hurt.

Invariant: as every fault, each of them is healed, also when it was half injected; a deed that leaves nothing behind
has nothing to heal. SQL and REST are spoken in a thread of the run, so each conversation has an event loop of its own.
"""

from __future__ import annotations

import asyncio
import time

from poolkeeper.faults import containers
from poolkeeper.faults.fault import Fault
from poolkeeper.faults.ground import Ground
from poolkeeper.faults.packets import DropPackets, our_rules, sweep_rules
from poolkeeper.faults.together import Together
from poolkeeper.system import patroni, postgres

UNSEEN = 3.0  # seconds in which the primary runs without the standbys that are cut off; below a client's patience
SWITCHOVER_SECONDS = 60.0
_WAITING = "SELECT count(pg_cancel_backend(pid)) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
_RECEIVER = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_wal_receiver"


def _others(ground: Ground, node: str) -> list[str]:
    return sorted(declared.name for declared in ground.place.spec.nodes if declared.name != node)


def _cut_from(ground: Ground, standby: str, primary: str) -> DropPackets:
    return DropPackets(ground, standby, (str(ground.place.spec.addresses()[primary]),))


def cut_all_then_kill(ground: Ground, victim: str) -> Fault:
    """No standby hears the primary for a while; then it dies, and nobody else has what it wrote meanwhile."""
    cuts = [(_cut_from(ground, standby, victim), 0.0) for standby in _others(ground, victim)]
    return Together(
        ground, victim, (*cuts[:-1], (cuts[-1][0], UNSEEN), (containers.KillContainer(ground, victim), 0.0))
    )


def cut_first_then_kill(ground: Ground, victim: str) -> Fault:
    """The first standby by name does not hear the primary for a while; then the primary dies."""
    cut = _cut_from(ground, _others(ground, victim)[0], victim)
    return Together(ground, victim, ((cut, UNSEEN), (containers.KillContainer(ground, victim), 0.0)))


def cut_cancel_then_kill(ground: Ground, victim: str) -> Fault:
    """No standby hears the primary; the commits that wait for one are cancelled, and then the primary dies."""
    cuts = [(_cut_from(ground, standby, victim), 0.0) for standby in _others(ground, victim)]
    rest = ((CancelWaits(ground, victim), 0.0), (containers.KillContainer(ground, victim), 0.0))
    return Together(ground, victim, (*cuts, *rest))


def cut_and_not_streaming(ground: Ground, victim: str) -> Fault:
    """A standby that runs, is asked, and has no connection to any node that it could receive from."""
    addresses = [str(ground.place.spec.addresses()[other]) for other in _others(ground, victim)]
    return Together(ground, victim, ((DropPackets(ground, victim, addresses), 0.0), (EndReceiver(ground, victim), 0.0)))


def cut_from_nodes(ground: Ground, victim: str) -> Fault:
    """A standby that hears no other node, and everybody else."""
    return DropPackets(ground, victim, [str(ground.place.spec.addresses()[other]) for other in _others(ground, victim)])


class Sql(Fault):
    """A statement on the victim's own port, as the superuser."""

    statement = ""

    def inject(self) -> None:
        self.ask()

    def ask(self) -> None:
        """Once. Raises as `postgres.query` does."""
        access = self.ground.place.access()
        asyncio.run(postgres.query(access.node(self.victim, "superuser"), self.statement, access.spec.timeouts.query))

    def heal(self) -> None:
        """Sessions were told something; nothing is left of it."""


class CancelWaits(Sql):
    """What somebody does whose commits hang: cancel them, again and again for a while."""

    sentence = "pg_cancel_backend of every commit that waits for a standby on {}"
    statement = _WAITING
    pace = 0.2  # seconds

    def inject(self) -> None:
        end = time.monotonic() + UNSEEN
        while time.monotonic() < end:
            self.ask()
            time.sleep(self.pace)  # its own pace is what it does


class EndReceiver(Sql):
    """End the process that receives WAL; the server starts another one, which has to connect."""

    sentence = "the end of the WAL receiver of {}"
    statement = _RECEIVER


class PlainSwitchover(Fault):
    """A switchover asked of Patroni itself, as by `patronictl`: nobody tells anything else about it."""

    sentence = "a switchover of Patroni's own away from {}"

    def inject(self) -> None:
        access = self.ground.place.access()
        address = str(access.spec.addresses()[self.victim])
        asyncio.run(patroni.switchover(address, self.victim, access.rest_auth, SWITCHOVER_SECONDS))

    def heal(self) -> None:
        """The role stays where it is."""


class ForgetfulDrop(DropPackets):
    """A cut whose healing forgets one rule. It is one of the bugs, and in no scenario of a real run."""

    sentence = "drop of every packet to and from {}, healed but for one rule"

    def heal(self) -> None:
        rules = our_rules(self.ground, self.victim)
        sweep_rules(self.ground, self.victim)
        for words in rules[-1:]:
            self.ground.in_network(self.victim, "iptables", "-w", *words)
