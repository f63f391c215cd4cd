"""etcd as a store of keys: read, write under guards, watch (etcd 3.5: docs, "gRPC gateway" and "KV API guarantees").

Invariant: a write under guards is one transaction of etcd, so it happens only in the observed state. A watch yields
every change after `after`, in order and once, or ends with an error; then the caller resumes after the last change that
it processed. Members are asked one after the other, first the last one that answered; every answer needed a quorum.

Not promised: that a write without an answer did not happen. It raises Unreachable, and the caller reads again.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from typing import Any

import httpx

from poolkeeper.core import errors
from poolkeeper.system import etcd
from poolkeeper.system.etcd_wire import (
    COMPACTED,
    Guard,
    KeyChange,
    KeyValue,
    compare,
    encode,
    key_range,
    read_changes,
    read_key_value,
)

PULSE = 1.0  # seconds of silence on a watch after which its member must show that it still has a quorum
_KEPT_OPEN = 60.0  # seconds that an idle connection is kept: longer than PULSE, so that a ping opens no new one
_SILENT_STATUS = frozenset({503, 504})  # the gateway's codes for gRPC's "unavailable" and "deadline exceeded"
# A restarted peer on the same address does not know a watch's old connection; TCP keepalive detects that.
_KEEPALIVE = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 2),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
)


class _Silent(errors.Unreachable):
    """One member did not answer; `sent`: the request may have been executed nevertheless."""

    def __init__(self, message: str, *, sent: bool) -> None:
        super().__init__(message)
        self.sent = sent


class Store:
    """A store of several members, for use inside one event loop; the caller closes it.

    `timeout` is in seconds, for one member to connect, and again to answer. Every call raises Unreachable if no member
    answers, and ServerRefused with etcd's status if a member refuses.
    """

    def __init__(self, addresses: Sequence[str], timeout: float) -> None:
        self._members = [f"http://{address}:{etcd.PORT}/v3" for address in addresses]
        self._first = 0  # index of the member that answered last
        self._timeout = timeout
        self._answered_at = dict.fromkeys(self._members, 0.0)  # member → when it last showed its quorum, monotonic
        self._client = httpx.AsyncClient(
            timeout=timeout,
            trust_env=False,
            transport=httpx.AsyncHTTPTransport(
                verify=ssl.SSLContext(
                    ssl.PROTOCOL_TLS_CLIENT
                ),  # never used; httpx would slowly load the system's certificates
                limits=httpx.Limits(keepalive_expiry=_KEPT_OPEN),
                socket_options=_KEEPALIVE,
            ),
        )

    async def close(self) -> None:
        """Close every connection."""
        await self._client.aclose()

    async def read(self, prefix: str) -> tuple[int, tuple[KeyValue, ...]]:
        """Return the store's revision, and every key under `prefix` at that revision, sorted; linearizable."""
        answer, _ = await self._ask("kv/range", key_range(prefix))
        return int(answer["header"]["revision"]), tuple(read_key_value(kv) for kv in answer.get("kvs", []))

    async def put(self, key: str, value: str) -> int:
        """Write one key; return the revision.

        Only for a key with one writer: a repeated request could undo the write of another one.
        """
        answer, _ = await self._ask("kv/put", {"key": encode(key), "value": encode(value)})
        return int(answer["header"]["revision"])

    async def delete_if(self, keys: Sequence[str], guards: Sequence[Guard]) -> bool:
        """Delete the keys in one transaction if every guard holds; return whether they held. One guard is required."""
        return await self._transact([{"request_delete_range": {"key": encode(key)}} for key in keys], guards)

    async def put_if(self, key: str, value: str, guards: Sequence[Guard]) -> bool:
        """Write the key in one transaction if every guard holds; return whether they held. One guard is required."""
        return await self._transact([{"request_put": {"key": encode(key), "value": encode(value)}}], guards)

    async def _transact(self, operations: list[dict[str, Any]], guards: Sequence[Guard]) -> bool:
        """Run a transaction; a refusal of a repeated request is no answer: its first success breaks the guards."""
        if not guards:
            raise ValueError("a guarded write needs a guard")
        wanted = [comparison for guard in guards for comparison in compare(guard)]
        answer, is_repeated = await self._ask("kv/txn", {"compare": wanted, "success": operations})
        succeeded = bool(answer.get("succeeded"))
        if is_repeated and not succeeded:
            raise errors.Unreachable("etcd did not report whether it executed a transaction; read before you act again")
        return succeeded

    async def _ask(self, path: str, body: dict[str, Any]) -> tuple[dict[str, Any], bool]:
        """Return the first answer, and whether an earlier member may have executed the request without answering."""
        silent: list[_Silent] = []
        for member in self._in_turn():
            try:
                answer = await self._ask_member(member, path, body)
            except _Silent as e:
                silent.append(e)
                continue
            self._first = self._members.index(member)
            return answer, any(e.sent for e in silent)
        raise errors.Unreachable("no member of etcd answers: " + "; ".join(e.message for e in silent))

    def _in_turn(self) -> list[str]:
        return self._members[self._first :] + self._members[: self._first]

    def _leave(self, member: str) -> None:
        """Ask the next member first from now on."""
        if self._members[self._first] == member:
            self._first = (self._first + 1) % len(self._members)

    async def _ask_member(self, member: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Ask one member once; raise _Silent if another member may answer."""
        try:
            answer = await self._client.post(f"{member}/{path}", json=body)
        except httpx.HTTPError as e:
            unsent = isinstance(e, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)
            raise _Silent(_failure(member, e), sent=not unsent) from e
        document = _read_answer(member, answer)
        self._answered_at[member] = time.monotonic()
        return document

    async def watch(self, prefix: str, after: int) -> AsyncGenerator[KeyChange, None]:
        """Yield every change under `prefix` with a revision above `after`.

        The first item is empty and has `after` as its revision: the watch is established. A member that dies, freezes
        or loses its quorum is detected within PULSE + 2 × `timeout` seconds; the next watch starts with another member.
        Leave the watch with `contextlib.aclosing`.

        Raises:
            Unreachable: if the member dies, freezes or loses its quorum.
            ServerRefused: with code "compacted", if etcd no longer has the changes after `after`, or if this is another
                store, whose history is shorter.
        """
        async with contextlib.AsyncExitStack() as stack:
            member, answer = await self._open_watch(stack, prefix, after)
            async with contextlib.aclosing(self._changes(member, answer, after)) as batches:
                yield KeyChange(after, (), ())
                async for batch in batches:
                    for change in batch:
                        yield change

    async def _open_watch(
        self, stack: contextlib.AsyncExitStack, prefix: str, after: int
    ) -> tuple[str, httpx.Response]:
        """Open a stream of the first member that answers; the stack closes it."""
        body = {"create_request": {**key_range(prefix), "start_revision": str(after + 1)}}
        silent: list[str] = []
        for member in self._in_turn():
            deadline = httpx.Timeout(self._timeout, read=None)  # two changes may be any time apart
            stream = self._client.stream("POST", f"{member}/watch", json=body, timeout=deadline)
            try:
                async with asyncio.timeout(2 * self._timeout):
                    answer = await stack.enter_async_context(stream)
                    if not answer.is_success:
                        await answer.aread()
                        _read_answer(member, answer)
            except (httpx.HTTPError, TimeoutError, _Silent) as e:
                silent.append(_failure(member, e))
                continue
            self._first = self._members.index(member)
            return member, answer
        raise errors.Unreachable("no member of etcd opens a watch: " + "; ".join(silent))

    async def _changes(
        self, member: str, answer: httpx.Response, after: int
    ) -> AsyncGenerator[tuple[KeyChange, ...], None]:
        """Yield the changes of each line as it arrives, while the member proves that it still has a quorum."""
        incoming = answer.aiter_lines()
        pulse = asyncio.create_task(self._keep_asking(member, after))
        line = asyncio.create_task(_next_line(incoming))
        try:
            while True:
                await asyncio.wait({line, pulse}, return_when=asyncio.FIRST_COMPLETED)
                if not line.done():
                    pulse.result()  # it ends only by raising
                if (text := line.result()) is None:
                    raise errors.Unreachable(f"{member} ended the watch")
                line = asyncio.create_task(_next_line(incoming))
                if batch := read_changes(_read_json(member, text)):
                    self._answered_at[member] = time.monotonic()
                    yield batch
        except httpx.HTTPError as e:
            self._leave(member)
            raise errors.Unreachable(_failure(member, e)) from e
        except errors.Unreachable:
            self._leave(member)
            raise
        finally:
            line.cancel()
            pulse.cancel()
            await asyncio.wait({line, pulse})

    async def _keep_asking(self, member: str, after: int) -> None:
        """Ask for the store's revision after each PULSE of silence: a member without a quorum cannot answer.

        Such a member keeps its connections open and silent, so only this question detects the loss.
        """
        while True:
            await asyncio.sleep(max(0.0, self._answered_at[member] + PULSE - time.monotonic()))
            if time.monotonic() - self._answered_at[member] < PULSE:
                continue  # an answer arrived meanwhile, perhaps on another watch
            answer = await self._ask_member(member, "kv/range", {"key": encode("\0"), "count_only": True})
            if int(answer["header"]["revision"]) < after:
                raise errors.ServerRefused(
                    f"{member} is another store: it has not reached revision {after}", code=COMPACTED
                )


async def _next_line(lines: AsyncIterator[str]) -> str | None:
    return await anext(lines, None)


def _failure(member: str, error: Exception) -> str:
    return f"{member}: {type(error).__name__} {error}".rstrip()


def _read_json(where: str, text: str) -> dict[str, Any]:
    """Return the text as a JSON object; raise ServerRefused (code "json") for anything else."""
    try:
        document = json.loads(text)
    except ValueError as e:
        raise errors.ServerRefused(f"{where} did not answer with JSON", code="json") from e
    if not isinstance(document, dict):
        raise errors.ServerRefused(f"{where} did not answer with an object", code="json")
    return document


def _read_answer(member: str, answer: httpx.Response) -> dict[str, Any]:
    """Return the answer as JSON; raise _Silent if the member cannot serve now, ServerRefused for a bad request."""
    if answer.is_success:
        return _read_json(member, answer.text)
    reply = f"{member} answered {answer.status_code}: {' '.join(answer.text.split())[:200]}"
    if answer.status_code in _SILENT_STATUS:
        raise _Silent(reply, sent=True)
    raise errors.ServerRefused(reply, code=str(answer.status_code))
