"""A client of one endpoint: it asks one thing at a time, and writes down what it asks and what it is told.

Invariant: an operation is in the history before anything of it is sent, the connection included, and no step of it
outlives its deadline. After whatever leaves doubt the connection is given up, and the next operation is of a new
session. Not promised: to be shared by threads.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from poolkeeper.model.dsn import Dsn
from poolkeeper_lab.chaos.history.recorder import Recorder
from poolkeeper_lab.drill import link
from poolkeeper_lab.drill.link import Answer

CONNECT_SECONDS = 4.0  # an endpoint may hold a new session while there is no server for it
STATEMENT_SECONDS = 3.0  # then the connection is given up; what was sent may take effect later
DECLINED = "declined"  # the client itself rolled back
_ABORTS = ("40001", "40P01")  # the transaction lost against another one; the session is as good as before
_READ_ONLY = "25006"

Read = Callable[[Answer], Any]
Accept = Callable[[Answer], bool]


def nothing(_: Answer) -> None:
    """The result of a statement whose answer says nothing but that it was done."""


def anything(_: Answer) -> bool:
    """Accepts every answer."""
    return True


class WorkloadClient:
    """One client. `refuses_writes`: an endpoint at which 25006 is the answer that is expected, so no reason to leave."""

    def __init__(
        self, recorder: Recorder, process: int, workload: str, endpoint: str, dsn: Dsn, refuses_writes: bool = False
    ) -> None:
        self._recorder, self._process, self._workload, self._endpoint, self._dsn = (
            recorder,
            process,
            workload,
            endpoint,
            dsn,
        )
        self._stays = (*_ABORTS, _READ_ONLY) if refuses_writes else _ABORTS
        self._session = 0
        self._link: link.Link | None = None

    @property
    def is_open(self) -> bool:
        """Is there a connection that the last operation left in order?"""
        return self._link is not None

    def single(self, f: str, value: Any, statement: str, read: Read = nothing) -> None:
        """An operation of one statement, which commits by itself."""
        number = self._invoke(f, value)
        try:
            answer = self._connected().ask(statement, STATEMENT_SECONDS)
        except link.Failed as e:
            self._recorder.failed(number, e.code, sent=e.sent)
            self._recover(e.code, in_transaction=False)
        else:
            self._recorder.ok(number, read(answer), warning=answer.warning)

    def transaction(
        self,
        f: str,
        value: Any,
        level: str,
        statements: Sequence[str],
        read: Callable[[Sequence[Answer]], Any],
        accept: Accept = anything,
    ) -> None:
        """An operation of one transaction. An answer that is not accepted ends it by a ROLLBACK."""
        number, is_committing = self._invoke(f, value), False
        try:
            opened, answers = self._connected(), []
            opened.ask(f"BEGIN ISOLATION LEVEL {level}", STATEMENT_SECONDS)
            for statement in statements:
                answers.append(opened.ask(statement, STATEMENT_SECONDS))
                if not accept(answers[-1]):
                    opened.ask("ROLLBACK", STATEMENT_SECONDS)
                    self._recorder.fail(number, DECLINED)
                    return
            is_committing = True
            commit = opened.ask("COMMIT", STATEMENT_SECONDS)
        except link.Failed as e:
            self._recorder.failed(number, e.code, sent=is_committing and e.sent)
            self._recover(e.code, in_transaction=True)
        else:
            self._close(number, commit, lambda: read(answers))

    def _close(self, number: int, commit: Answer, result: Callable[[], Any]) -> None:
        """A COMMIT of a transaction that had failed completes with the tag ROLLBACK, and without an error."""
        if commit.tag == "COMMIT":
            self._recorder.ok(number, result(), warning=commit.warning)
        elif commit.tag == "ROLLBACK":
            self._recorder.fail(number, "ROLLBACK")
        else:
            self._recorder.info(number, f"tag {commit.tag}")

    def end(self) -> None:
        """Close the connection."""
        self._drop()

    def _invoke(self, f: str, value: Any) -> int:
        return self._recorder.invoke(self._process, self._workload, self._endpoint, f, value, session=self._session)

    def _connected(self) -> link.Link:
        if self._link is None:
            self._link = link.connect(self._dsn, CONNECT_SECONDS)
        return self._link

    def _recover(self, code: str, *, in_transaction: bool) -> None:
        """Keep the session only where the code says that it is in order."""
        if code not in self._stays or self._link is None:
            self._drop()
        elif in_transaction:
            try:
                self._link.ask("ROLLBACK", STATEMENT_SECONDS)
            except link.Failed:
                self._drop()

    def _drop(self) -> None:
        """The next operation is of a new session, also where this one was never opened: it costs nothing."""
        if self._link is not None:
            self._link.close()
            self._link = None
        self._session += 1
