"""What the self-test does and no real run: a healing that forgets, and a primary that dies after waits were cancelled.

Invariant: as every fault, each is healed, also when it was half injected.
"""

from __future__ import annotations

from poolkeeper_lab.faults import containers, moments
from poolkeeper_lab.faults.host import Ground
from poolkeeper_lab.faults.moments import UNSEEN
from poolkeeper_lab.faults.packets import DropPackets, our_rules, sweep_rules
from poolkeeper_lab.faults.session_faults import CancelWaiting
from poolkeeper_lab.faults.together import Parts


def cut_cancel_then_kill(ground: Ground, victim: str) -> Parts:
    """No standby hears the primary; the commits that wait for one are cancelled, and then the primary dies."""
    cuts = [(moments.cut_from(ground, standby, victim), 0.0) for standby in moments.others(ground, victim)]
    return (*cuts, (CancelWaiting(ground, victim, UNSEEN), 0.0), (containers.KillContainer(ground, victim), 0.0))


class ForgetfulDrop(DropPackets):
    """A cut whose healing forgets one rule. It is one of the bugs, and in no scenario of a real run."""

    sentence = "drop of every packet to and from {}, healed but for one rule"

    def heal(self) -> None:
        rules = our_rules(self.ground, self.victim)
        sweep_rules(self.ground, self.victim)
        for words in rules[-1:]:
            self.ground.in_network(self.victim, "iptables", "-w", *words)
