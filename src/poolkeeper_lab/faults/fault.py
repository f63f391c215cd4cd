"""What a fault is: it says whether it can be done, aims, breaks something, and takes that away again.

Invariant: `heal` may be called at any time, also when `inject` never ran, failed half-way, or was healed already; it
leaves the victim able to work again and does not wait until it does. `aim` changes nothing. All of them block.
Not promised: that the cluster recovers; that is what is measured.
"""

from __future__ import annotations

import abc
from collections.abc import Callable

from poolkeeper_lab.faults.host import Host

_DOWN = ("exited", "created", "dead")


class Fault(abc.ABC):
    """One way to break one service."""

    sentence = ""  # what it does, of "{}", its victim

    def __init__(self, host: Host, victim: str) -> None:
        self.host = host
        self.victim = victim

    def __str__(self) -> str:
        return self.sentence.format(self.victim)

    def available(self) -> str:
        """Why it cannot be done here and now; "" if it can."""
        return ""

    def unmet(self) -> str:
        """Why it would meet nothing of its victim in the declared cluster; "" if it does."""
        return ""

    def aim(self) -> None:
        """Find what `inject` needs, so that it takes no time then. Raises ClusterNotUp where the victim is not up."""
        self.host.first_process(self.victim)

    @abc.abstractmethod
    def inject(self) -> None:
        """Break it."""

    @abc.abstractmethod
    def heal(self) -> None:
        """Take away what was done."""

    def start_if_down(self) -> bool:
        """The engine's restart policy does not start again what its own command ended.

        Was it down, or is it between an end and its next start, so that nothing of what was in it is left?
        """
        status = str(self.host.state(self.victim)["Status"])
        if status in _DOWN:
            self.host.docker("start", self.host.container(self.victim))
        return status in (*_DOWN, "restarting")


class Ask(Fault):
    """Not a break but a request, as a switchover: `request` makes it and returns when it is done; nothing to heal."""

    sentence = "a request to {}"

    def __init__(self, host: Host, victim: str, request: Callable[[], None]) -> None:
        super().__init__(host, victim)
        self._request = request

    def inject(self) -> None:
        self._request()

    def heal(self) -> None:
        """There is nothing to take away."""
