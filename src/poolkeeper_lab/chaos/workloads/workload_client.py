"""A client of one endpoint: it runs one operation at a time and records the requests and the answers.

Invariant: an operation is in the history before anything of it is sent, the connection included, and no step of it
outlives its deadline. After any uncertain outcome the client closes the connection, and the next operation is of a
new session. Not promised: to be shared by threads.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from poolkeeper.model.dsn import Dsn
from poolkeeper_lab.chaos.history.recorder import Recorder
from poolkeeper_lab.drill import link
from poolkeeper_lab.drill.link import Answer

CONNECT_SECONDS = 4.0  # an endpoint may hold a new session while there is no server for it
STATEMENT_SECONDS = 3.0  # then the client closes the connection; a sent statement may take effect later
DECLINED = "declined"  # the client itself rolled back
_ABORTS = ("40001", "40P01")  # the transaction lost against another one; the session remains usable
_READ_ONLY = "25006"

Read = Callable[[Answer], Any]
Accept = Callable[[Answer], bool]


def nothing(_: Answer) -> None:
    """Return no result, for a statement whose answer only confirms it."""


def anything(_: Answer) -> bool:
    """Accept every answer."""
    return True


class WorkloadClient:
    """One client. `refuses_writes`: the endpoint is expected to answer 25006, so the session stays open then."""

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
        """Is there a connection that the last operation left usable?"""
        return self._link is not None

    def single(self, f: str, value: Any, statement: str, read: Read = nothing) -> None:
        """Run an operation of one statement in autocommit."""
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
        """Run an operation of one transaction; an answer that is not accepted ends it with a ROLLBACK."""
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
        """Record the outcome of a COMMIT; for a failed transaction its tag is ROLLBACK, without an error."""
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
        """Keep the session only if the code means that it is usable."""
        if code not in self._stays or self._link is None:
            self._drop()
        elif in_transaction:
            try:
                self._link.ask("ROLLBACK", STATEMENT_SECONDS)
            except link.Failed:
                self._drop()

    def _drop(self) -> None:
        """Close the session; the next operation is of a new session, even if this one was never opened."""
        if self._link is not None:
            self._link.close()
            self._link = None
        self._session += 1
