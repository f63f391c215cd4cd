"""The two deeds of the self-test that no real run does: a healing that forgets, and somebody who cancels what waits.

Invariant: as every fault, each is healed, also when it was half injected.
"""

from __future__ import annotations

import time

from poolkeeper import errors
from poolkeeper.faults import containers, moments
from poolkeeper.faults.ground import Ground
from poolkeeper.faults.moments import UNSEEN, Sql
from poolkeeper.faults.packets import DropPackets, our_rules, sweep_rules
from poolkeeper.faults.together import Parts
from poolkeeper.system import postgres


def cut_cancel_then_kill(ground: Ground, victim: str) -> Parts:
    """No standby hears the primary; the commits that wait for one are cancelled, and then the primary dies."""
    cuts = [(moments.cut_from(ground, standby, victim), 0.0) for standby in moments.others(ground, victim)]
    return (*cuts, (CancelWaits(ground, victim), 0.0), (containers.KillContainer(ground, victim), 0.0))


class CancelWaits(Sql):
    """What somebody does whose commits hang: cancel them, again and again for a while."""

    sentence = "pg_cancel_backend of every commit that waits for a standby on {}"
    statement = "SELECT count(pg_cancel_backend(pid)) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
    pace = 0.2  # seconds

    def inject(self) -> None:
        end = time.monotonic() + UNSEEN
        while time.monotonic() < end:
            try:
                self.ask()
            except errors.ServerRefused as e:
                if e.code != postgres.AMBIGUOUS:  # a warning: one of them has ended meanwhile
                    raise
            time.sleep(self.pace)  # its own pace is what it does


class ForgetfulDrop(DropPackets):
    """A cut whose healing forgets one rule. It is one of the bugs, and in no scenario of a real run."""

    sentence = "drop of every packet to and from {}, healed but for one rule"

    def heal(self) -> None:
        rules = our_rules(self.ground, self.victim)
        sweep_rules(self.ground, self.victim)
        for words in rules[-1:]:
            self.ground.in_network(self.victim, "iptables", "-w", *words)
