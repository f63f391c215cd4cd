"""The interface of a fault: it reports whether it is possible here, aims, breaks something, and heals it.

Invariant: `heal` may be called at any time, also if `inject` never ran, failed half-way, or was healed already. It
leaves the victim able to work again and does not wait until it works. `aim` changes nothing. All of them block.
Not promised: that the cluster recovers; the recovery is what a run measures.
"""

from __future__ import annotations

import abc
from collections.abc import Callable

from typing_extensions import override

from poolkeeper_lab.faults.host import Host

_DOWN = ("exited", "created", "dead")


class Fault(abc.ABC):
    """One way to break one service."""

    sentence = ""  # a description, with "{}" for the victim

    def __init__(self, host: Host, victim: str) -> None:
        self.host = host
        self.victim = victim

    def __str__(self) -> str:
        return self.sentence.format(self.victim)

    def available(self) -> str:
        """Return why the fault is impossible here and now; "" if it is possible."""
        return ""

    def unmet(self) -> str:
        """Return why the fault would have no effect on its victim in the declared cluster; "" if it has one."""
        return ""

    def aim(self) -> None:
        """Find the targets of `inject` in advance, so that `inject` takes no time for that.

        Raises:
            ClusterNotUp: if the victim is not up.
        """
        self.host.first_process(self.victim)

    @abc.abstractmethod
    def inject(self) -> None:
        """Break the victim."""

    @abc.abstractmethod
    def heal(self) -> None:
        """Remove the fault."""

    def start_if_down(self) -> bool:
        """Start the victim's container if it is down: the engine does not restart a container that its command ended.

        Return whether nothing of the fault can be left inside: the container was down, or is just being restarted.
        """
        status = str(self.host.state(self.victim)["Status"])
        if status in _DOWN:
            self.host.docker("start", self.host.cluster.container(self.victim))
        return status in (*_DOWN, "restarting")


class Ask(Fault):
    """A request and not a break, such as a switchover: `request` returns when it is done; nothing has to be healed."""

    sentence = "a request to {}"

    def __init__(self, host: Host, victim: str, request: Callable[[], None]) -> None:
        super().__init__(host, victim)
        self._request = request

    @override
    def inject(self) -> None:
        self._request()

    def heal(self) -> None:
        """Do nothing: nothing has to be removed."""
