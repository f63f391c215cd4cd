"""Faults of the self-test only: a healing that forgets a rule, and a primary that dies after cancelled waits.

Invariant: like every fault, each is healed, also after half an injection.
"""

from __future__ import annotations

from typing_extensions import override

from poolkeeper_lab.faults import containers, moments
from poolkeeper_lab.faults.host import Host
from poolkeeper_lab.faults.moments import UNSEEN
from poolkeeper_lab.faults.packets import DropPackets, our_rules, sweep_rules
from poolkeeper_lab.faults.session_faults import CancelWaiting
from poolkeeper_lab.faults.together import Parts


def cut_cancel_then_kill(host: Host, victim: str) -> Parts:
    """Cut the primary off from every standby, cancel the commits that wait for one, then kill the primary."""
    cuts = [(moments.cut_from(host, standby, victim), 0.0) for standby in moments.others(host, victim)]
    return (*cuts, (CancelWaiting(host, victim, UNSEEN), 0.0), (containers.KillContainer(host, victim), 0.0))


class ForgetfulDrop(DropPackets):
    """A cut whose healing forgets one rule. It is a mutant, and in no scenario of a real run."""

    sentence = "drop of every packet to and from {}, healed except for one rule"

    @override
    def heal(self) -> None:
        rules = our_rules(self.host, self.victim)
        sweep_rules(self.host, self.victim)
        for words in rules[-1:]:
            self.host.in_network(self.victim, "iptables", "-w", *words)
