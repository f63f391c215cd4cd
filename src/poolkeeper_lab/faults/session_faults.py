"""Sessions as faults: too many of them, silent ones, and sessions with an open transaction, a lock or a long query.

Invariant: all are sessions of this process, so they end with the healing, and in any case with the process. Their count
is bounded by the limits of the declared cluster. No table changes: the transaction writes a message to the WAL that is
in no table, and is rolled back.
"""

from __future__ import annotations

import time

from typing_extensions import override

from poolkeeper.core import errors
from poolkeeper.model import endpoint_keys
from poolkeeper.model.dsn import Dsn
from poolkeeper.model.endpoint_keys import RO, RW
from poolkeeper.system.held_sessions import Held
from poolkeeper_lab.faults.fault import Fault
from poolkeeper_lab.faults.host import Host

MESSAGE = "SELECT pg_logical_emit_message(true, 'poolkeeper', 'bystander')"
SCHEMA = "poolkeeper_chaos"
SETTLE_SECONDS = 5.0  # until the last of many connections has reached a server
LONG_SECONDS = 30.0  # after which the server itself ends a query whose client is gone
_SLEEP = f"SELECT pg_sleep({LONG_SECONDS:g})"


class Sessions(Fault):
    """The common part of faults by sessions."""

    def __init__(self, host: Host, victim: str) -> None:
        super().__init__(host, victim)
        self.held = Held()

    @override
    def heal(self) -> None:
        self.held.close()

    def node(self, role: str = "app") -> Dsn:
        """Return the DSN of the victim's own port; the victim is a node."""
        return self.host.cluster.with_passwords().node(self.victim, role, self.host.cluster.spec.roles.app_database)

    def dsn(self, endpoint: str) -> Dsn:
        """Return the DSN of an endpoint."""
        return self.host.cluster.with_passwords().endpoint(endpoint, "app", self.host.cluster.spec.roles.app_database)

    def key(self) -> str:
        """Return the endpoint whose Pgpool-II the victim is.

        Raises:
            UsageError: if the victim is another service.
        """
        endpoints = self.host.cluster.spec.endpoints
        for key in endpoint_keys.POOLED:
            if getattr(endpoints, key).service == self.victim:
                return key
        raise errors.UsageError(f"{self.victim} is not the Pgpool-II of an endpoint")


class FillServer(Sessions):
    """Idle sessions directly at a node, until it refuses more: max_connections without those kept for a superuser."""

    sentence = "idle sessions directly at {} until it refuses more"

    @override
    def inject(self) -> None:
        most = self.host.cluster.spec.postgresql.max_connections + 1
        if not self.held.fill(self.node(), most):
            raise errors.EngineFailed(f"{self.victim} accepted {len(self.held)} sessions and refused none")


class FillEndpoint(Sessions):
    """Idle sessions at an endpoint until all its children, or all sessions that HAProxy accepts, are in use.

    The fault counts only if the next client is refused while all of them answer.
    """

    sentence = "idle sessions at the endpoint of {} until it accepts no more"

    @override
    def inject(self) -> None:
        key = self.key()
        most = getattr(self.host.cluster.spec.endpoints, key).num_init_children + 1
        refusal = self.held.fill(self.dsn(key), most)
        if not refusal or not len(self.held):
            raise errors.EngineFailed(
                f"{self.victim} is not full: it accepted {len(self.held)} sessions and answered {refusal or 'nothing'}"
            )
        self.held.answer()


class SilentClients(Sessions):
    """Silent TCP connections to an endpoint: each occupies a child until Pgpool-II gives it up.

    The fault counts only if a client cannot log in then. The engine's proxy of a published port may pass on a later
    connection before an earlier one, so that client tries again for some seconds.
    """

    sentence = "silent connections to the endpoint of {}"

    @override
    def inject(self) -> None:
        key = self.key()
        dsn = self.dsn(key)
        count = getattr(self.host.cluster.spec.endpoints, key).num_init_children
        self.held.connect(dsn.host, dsn.port, count)
        until = time.monotonic() + SETTLE_SECONDS
        while not _is_refused(dsn):
            if time.monotonic() > until:
                raise errors.EngineFailed(f"{self.victim} accepted a client beside {count} silent connections")


def _is_refused(dsn: Dsn) -> bool:
    client = Held()
    try:
        return bool(client.fill(dsn, 1))
    finally:
        client.close()


class OpenTransaction(Sessions):
    """A transaction at 5100 that has written and stays open, for as long as the server allows."""

    sentence = "a transaction on {} that has written and stays open"

    @override
    def inject(self) -> None:
        self.held.open(self.dsn(RW))
        self.held.ask("BEGIN", MESSAGE)


class LockedTable(Sessions):
    """A transaction that holds ACCESS EXCLUSIVE on a table of the run, so that all its clients queue behind it."""

    sentence = "ACCESS EXCLUSIVE on a table, held on {}"

    def __init__(self, host: Host, victim: str, table: str = f"{SCHEMA}.of_register") -> None:
        super().__init__(host, victim)
        self._table = table

    @override
    def inject(self) -> None:
        self.held.open(self.dsn(RW))
        self.held.ask("BEGIN", f"LOCK TABLE {self._table} IN ACCESS EXCLUSIVE MODE")


class LongQuery(Sessions):
    """A query at 5100 that computes, and one at 5101 that waits, each for as long as a server allows."""

    sentence = "long queries at the endpoints, one of them on {}"

    @override
    def inject(self) -> None:
        for key, statement in ((RW, "SELECT count(*) FROM generate_series(1, 1000000000)"), (RO, _SLEEP)):
            self.held.open(self.dsn(key))
            self.held.ask(
                "SELECT 1", seconds=LONG_SECONDS
            )  # the limit holds for the next statement of the session, too
            self.held.begin(statement)


class EndSessions(Sessions):
    """pg_terminate_backend of every session of the application's role on a node, except the balanced endpoint's.

    A child of Pgpool-II 4.6.1 that knows all nodes may crash at its next session after that (docs/guarantees.md).
    """

    sentence = "pg_terminate_backend of all sessions of the application on {}, except those of the balanced endpoint"

    @override
    def inject(self) -> None:
        spec = self.host.cluster.spec
        self.held.open(self.node("superuser"))
        self.held.ask(
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{spec.roles.app}' "
            f"AND client_addr IS DISTINCT FROM '{spec.endpoints.balanced.address}'"
        )


class CancelWaiting(Sessions):
    """pg_cancel_backend of every commit that waits for its quorum, repeated for some seconds.

    Each is then committed on that node alone, and its client receives WARNING 01000.
    """

    sentence = "pg_cancel_backend of all commits on {} that wait for the quorum"

    def __init__(self, host: Host, victim: str, seconds: float = 4.0) -> None:
        super().__init__(host, victim)
        self._seconds = seconds

    @override
    def inject(self) -> None:
        self.held.open(self.node("superuser"))
        cancel = "SELECT count(pg_cancel_backend(pid)) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
        deadline, cancelled = time.monotonic() + self._seconds, 0
        while time.monotonic() < deadline:
            ((count,),) = self.held.ask(cancel)
            cancelled += count
            self.held.ask("SELECT pg_sleep(0.1)")
        if not cancelled:
            raise errors.EngineFailed(f"no commit on {self.victim} waited for the quorum")
