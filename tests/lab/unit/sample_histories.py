"""Build the stored histories of the self-test: each shows one thing. To write the files again:

PYTHONPATH=src:. .venv/bin/python -m tests.lab.unit.sample_histories

`test_chaos_self_test.py` checks that the files equal these histories. A name begins with that of the checker. A bad
history is named by its anomaly, a good one by the reason why a checker might report it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.lab.unit.chaos_histories import FAIL, INFO, OK, Book, text
from tests.lab.unit.chaos_lists import Lists

from poolkeeper_lab.chaos.history.final_state import FinalState
from poolkeeper_lab.chaos.history.history import Completion, Expected, History, Phase

FOLDER = Path(__file__).resolve().parents[3] / "src/poolkeeper_lab/chaos/checkers/histories"
_MADE: dict[str, tuple[Expected, Callable[[], Book]]] = {}


def sample(
    name: str, outcome: str, checker: str, anomaly: str = ""
) -> Callable[[Callable[[], Book]], Callable[[], Book]]:
    """Register a history under a name."""

    def keep(make: Callable[[], Book]) -> Callable[[], Book]:
        assert name not in _MADE
        _MADE[name] = (Expected(outcome, checker, anomaly), make)
        return make

    return keep


def histories() -> dict[str, History]:
    """Return all histories, by name."""
    return {name: make().history(what, name) for name, (what, make) in sorted(_MADE.items())}


def _set(*finals: Any, adds: tuple[Completion, ...] = (OK, OK, OK)) -> Book:
    """Return adds of 1, 2, 3 and so on, then final reads."""
    book = Book("set")
    for element, completion in enumerate(adds, start=1):
        book.op("add", element, completion=completion, process=element)
    for result in finals:
        book.op("read", "final", result)
    return book


sample("set-lost", "fail", "set", "lost")(lambda: _set([1, 3]))
sample("set-phantom", "fail", "set", "phantom")(lambda: _set([1, 2, 3, 99]))
sample("set-duplicate", "fail", "set", "duplicate")(lambda: _set([1, 2, 2, 3]))
sample("set-refused", "fail", "set", "refused")(lambda: _set([1, 2, 3], adds=(OK, FAIL, OK)))
sample("set-lost-on-one-node", "fail", "set", "lost")(lambda: _set([1, 2, 3], [1, 2]))
sample("set-open-and-there", "pass", "set")(lambda: _set([1, 2, 3], adds=(OK, INFO, OK)))
sample("set-open-and-absent", "pass", "set")(lambda: _set([1, 3], adds=(OK, INFO, OK)))
sample("set-no-final-read", "unknown", "set")(_set)
sample("set-nothing-done", "unknown", "set")(lambda: Book("set"))


@sample("set-stale", "fail", "set", "stale")
def _set_stale() -> Book:
    """Return a read that lacks an acknowledged element; a later read shows it."""
    book = _set()
    book.op("read", None, [1, 2])
    book.op("read", "final", [1, 2, 3])
    return book


@sample("set-late-acknowledgement", "unknown", "set")
def _set_late() -> Book:
    """Return an add that was acknowledged only after the final read began."""
    book = _set()
    book.op("add", 4, at=(3.2, 9.0), process=9)
    book.op("read", "final", [1, 2, 3], at=(5.0, 5.5))
    return book


def _list(anomaly: str, make: Callable[[], Lists], outcome: str = "fail", name: str = "") -> None:
    sample(f"list_append-{name or anomaly}", outcome, "list_append", anomaly)(make)


_SKEW = ("x= y+1", "y= x+2")
_FORK = ("x+1", "y+2", "x=1 y=", "x= y=2")
_list("G0", lambda: Lists().together("x+1 y+1", "x+2 y+2").final("x=1,2 y=2,1"))
_list("G1c", lambda: Lists().together("x+1 y=2", "y+2 x=1").final("x=1 y=2"))
_list("G-single", lambda: Lists().together("x+1 y+1", "x=1 y=").final("x=1 y=1"))
_list("G-single", lambda: Lists("repeatable-read").together("x= x+1", "x= x+2").final("x=1,2"), name="lost-update")
_list("G-nonadjacent", lambda: Lists("repeatable-read").together(*_FORK).final("x=1 y=2"))
_list("G2-item", lambda: Lists().together(*_SKEW).final("x=2 y=1"))
_list("", lambda: Lists("repeatable-read").together(*_SKEW).final("x=2 y=1"), "pass", "write-skew-is-permitted")
_list("internal", lambda: Lists().together("x+1 x=").final("x=1"))
_list("internal", lambda: Lists().together("x+1", "x= x=1").final("x=1"), name="unrepeatable-read")
_list("internal", lambda: Lists().together("x=1 x+1").final("x=1"), name="own-future")
_list("incompatible-order", lambda: Lists().together("x+1", "x+2", "x=1", "x=2").final("x=2,1"))
_list("duplicate-elements", lambda: Lists().together("x+1", "x+2").final("x=1,2,1"))
_list("garbage", lambda: Lists().together("x+1").final("x=1,7"))
_list("lost-append", lambda: Lists().together("x+1", "x+2").final("x=2"))
_list("lost-append", lambda: Lists(order="none").together("x+1", "x+2").final("x=2"), name="lost-without-order")
_list("", lambda: Lists().together("x+1", "x+2 y=1", "y+1").final("x=1,2 y=1"), "pass", "serial")
_list("", lambda: Lists().together("x+1"), "unknown", "never-read")


@sample("list_append-G1a", "fail", "list_append", "G1a")
def _aborted_read() -> Book:
    book = Lists()
    book.txn("x+1", (1.0, 1.5), FAIL, 1)
    return book.together("x=1").final("x=")


@sample("list_append-G1b", "fail", "list_append", "G1b")
def _intermediate_read() -> Book:
    return Lists().together("x+1 x+2", "x=1").final("x=1,2")


@sample("list_append-G-single-realtime", "fail", "list_append", "G-single-realtime")
def _stale_read() -> Book:
    """Return a snapshot without an earlier acknowledged append: a former primary that still answers."""
    book = Lists("repeatable-read")
    book.txn("x+1", (1.0, 1.5), process=1)
    book.txn("x=", (2.0, 2.5), process=2)
    return book.final("x=1")


@sample("list_append-stale-where-permitted", "pass", "list_append")
def _stale_where_permitted() -> Book:
    """Return the same stale read without a promised order beyond the level."""
    book = Lists("repeatable-read", "none")
    book.txn("x+1", (1.0, 1.5), process=1)
    book.txn("x=", (2.0, 2.5), process=2)
    return book.final("x=1")


@sample("list_append-G-single-process", "fail", "list_append", "G-single-process")
def _own_write_not_read() -> Book:
    book = Lists("repeatable-read", "process")
    book.txn("x+1", (1.0, 1.5), process=1)
    book.txn("x=", (2.0, 2.5), process=1)
    return book.final("x=1")


@sample("list_append-G2-item-realtime", "fail", "list_append", "G2-item-realtime")
def _skew_in_time() -> Book:
    """Return a history serial only against time: T3, T1, T2, where T2 was acknowledged before T3 began."""
    book = Lists()
    book.txn("x= y=2 z+1", (1.0, 9.0), process=1)
    book.txn("x+3", (2.0, 3.0), process=2)
    book.txn("y+2", (0.1, 0.2), process=4)
    book.txn("z= y=2", (4.0, 5.0), process=3)
    return book.final("x=3 y=2 z=1")


@sample("list_append-open-and-read", "pass", "list_append")
def _open_and_read() -> Book:
    """Return a first transaction without an answer that is committed, with all its appends."""
    book = Lists()
    book.txn("x+1 y+1", (1.0, 1.5), INFO, 1)
    return book.together("x=1 x+2").final("x=1,2 y=1")


@sample("list_append-open-and-never", "pass", "list_append")
def _open_and_never() -> Book:
    book = Lists()
    book.txn("x+1 y+1", (1.0, 1.5), INFO, 1)
    return book.together("x= x+2").final("x=2 y=")


@sample("list_append-open-in-half", "fail", "list_append", "G-single")
def _open_in_half() -> Book:
    """Return a read of half a transaction without an answer: a checker that ignores INFO misses it."""
    book = Lists()
    book.txn("x+1 y+1", (1.0, 1.5), INFO, 1)
    return book.together("x=1 y=", "x=1 y=1").final("x=1 y=1")


def _register(*operations: tuple[Any, ...], initial: Any = None) -> Book:
    """Return operations (f, argument, result, completion, began, ended), each by a separate client."""
    book = Book("register", initial=initial)
    for process, (f, argument, result, completion, began, ended) in enumerate(operations):
        book.op(f, ["k", argument], result, completion, at=(began, ended), process=process)
    return book


_W1, _W2 = ("write", 1, None, OK, 1.0, 2.0), ("write", 2, None, OK, 3.0, 4.0)
_STALE = ("read", None, 1, OK, 5.0, 6.0)
sample("register-stale-read", "fail", "register", "not-linearizable")(lambda: _register(_W1, _W2, _STALE))


@sample("register-lost-write", "fail", "register", "not-linearizable")
def _register_lost() -> Book:
    return _register(_W1, ("read", None, None, OK, 3.0, 4.0))


@sample("register-two-winners", "fail", "register", "not-linearizable")
def _two_winners() -> Book:
    """Return two successful compare-and-sets from the same value, which existed once."""
    return _register(
        ("cas", [0, 1], True, OK, 1.0, 3.0), ("cas", [0, 2], True, OK, 1.5, 3.5), ("read", None, 2, OK, 5, 6), initial=0
    )


@sample("register-loser-without-winner", "fail", "register", "not-linearizable")
def _loser() -> Book:
    return _register(("cas", [0, 1], False, OK, 1.0, 2.0), ("read", None, 0, OK, 3.0, 4.0), initial=0)


@sample("register-back-and-forth", "fail", "register", "not-linearizable")
def _back_and_forth() -> Book:
    """Return a read of the new value, and a later one of the old value, while the write is in progress."""
    write = ("write", 2, None, OK, 3.0, 9.0)
    return _register(_W1, write, ("read", None, 2, OK, 4.0, 5.0), ("read", None, 1, OK, 6.0, 7.0))


@sample("register-open-takes-effect-late", "pass", "register")
def _open_late() -> Book:
    open_write = ("write", 7, None, INFO, 1.0, 2.0)
    return _register(open_write, ("write", 1, None, OK, 3.0, 4.0), _STALE, ("read", None, 7, OK, 7.0, 8.0))


@sample("register-open-never", "pass", "register")
def _open_never() -> Book:
    return _register(_W1, ("write", 7, None, INFO, 3.0, 4.0), _STALE, ("read", None, 1, OK, 7.0, 8.0))


@sample("register-concurrent", "pass", "register")
def _concurrent() -> Book:
    """Return overlapping reads that disagree with the order of their begins, as they may."""
    return _register(
        ("write", 1, None, OK, 1.0, 9.0), ("read", None, 1, OK, 2.0, 8.0), ("read", None, None, OK, 3.0, 7.0)
    )


def _bank(balances: dict[str, int], negative: bool = False) -> Book:
    book = Book("bank", accounts=["a", "b"], total=20, negative=negative)
    book.op("transfer", {"from": "a", "to": "b", "amount": 5})
    book.op("read", None, {"a": 10, "b": 10}, endpoint="ro")
    book.op("read", None, balances, endpoint="ro")
    return book


sample("bank-wrong-total", "fail", "bank", "wrong-total")(lambda: _bank({"a": 5, "b": 10}))
sample("bank-negative", "fail", "bank", "negative")(lambda: _bank({"a": -5, "b": 25}))
sample("bank-accounts", "fail", "bank", "accounts")(lambda: _bank({"b": 20}))
sample("bank-old-and-complete", "pass", "bank")(lambda: _bank({"a": 5, "b": 15}))
sample("bank-negative-is-permitted", "pass", "bank")(lambda: _bank({"a": -5, "b": 25}, negative=True))


def _endpoint(*reads: tuple[int, float, int], bound: float | None = 5.0, write: Completion = FAIL) -> Book:
    """Return beats 1 to 9 at seconds 1 to 9, a refused write, and reads (result, begin, session)."""
    book = Book("read_only", bound=bound, slack=0.5)
    for beat in range(1, 10):
        completion = {8: FAIL, 9: INFO}.get(beat, OK)
        book.op("beat", beat, completion=completion, at=(float(beat), beat + 0.1), code="57P03" if beat == 8 else "")
    book.op("write", None, None, write, at=(3.0, 3.1), endpoint="ro", code="25006" if write is FAIL else "")
    for result, began, session in reads:
        book.op("read", None, result, at=(began, began + 0.1), endpoint="ro", process=5, session=session)
    return book


_FRESH = (7, 10.0, 1)
sample("read_only-write-accepted", "fail", "read_only", "write-accepted")(lambda: _endpoint(_FRESH, write=OK))
sample("read_only-backwards", "fail", "read_only", "backwards")(lambda: _endpoint((3, 4.0, 1), (2, 5.0, 1), _FRESH))
sample("read_only-too-old", "fail", "read_only", "too-old")(lambda: _endpoint((3, 10.0, 1)))
sample("read_only-phantom", "fail", "read_only", "phantom")(lambda: _endpoint((99, 10.0, 1)))
sample("read_only-from-the-future", "fail", "read_only", "phantom")(lambda: _endpoint((7, 2.0, 1), (7, 10.0, 2)))
sample("read_only-refused", "fail", "read_only", "refused")(lambda: _endpoint((8, 10.0, 1)))
sample("read_only-another-session-is-older", "pass", "read_only")(lambda: _endpoint((3, 4.0, 1), (2, 5.0, 2), _FRESH))
sample("read_only-open-beat", "pass", "read_only")(lambda: _endpoint((9, 10.0, 1)))
sample("read_only-old-without-a-bound", "pass", "read_only")(lambda: _endpoint((3, 10.0, 1), bound=None))
sample("read_only-no-write-tried", "unknown", "read_only")(lambda: _endpoint(_FRESH, write=INFO))


def _writers(*writes: tuple[str, int | None, float, float]) -> Book:
    """Return writes (node, timeline, began, ended)."""
    book = Book("one_writer")
    for node, timeline, began, ended in writes:
        book.op("write", None, {"timeline": timeline}, at=(began, ended), endpoint=node, process=int(node[-1]))
    book.op("write", None, None, FAIL, at=(1.0, 1.1), endpoint="pg_node3", code="25006", process=3)
    return book


_A, _B = "pg_node1", "pg_node2"
sample("one_writer-split-brain", "fail", "one_writer", "split-brain")(
    lambda: _writers((_A, 1, 1.0, 1.1), (_A, 2, 4.0, 4.1), (_B, 2, 4.5, 4.6))
)
sample("one_writer-former-primary", "fail", "one_writer", "former-primary")(
    lambda: _writers((_A, 1, 1.0, 1.1), (_B, 2, 3.0, 3.1), (_A, 1, 3.2, 3.3))
)
sample("one_writer-there-and-back", "pass", "one_writer")(
    lambda: _writers((_A, 1, 1.0, 1.1), (_B, 2, 3.0, 3.1), (_A, 3, 5.0, 5.1))
)
sample("one_writer-overlapping", "pass", "one_writer")(
    lambda: _writers((_A, 1, 1.0, 3.5), (_B, 2, 3.0, 3.1), (_B, 2, 4.0, 4.1))
)
sample("one_writer-no-timeline", "unknown", "one_writer")(lambda: _writers((_A, 1, 1.0, 1.1), (_B, None, 3.0, 3.1)))

_NODES = ("pg_node1", "pg_node2")
HEALTHY = FinalState(
    nodes=_NODES,
    rows={node: {"app.public.t": "5d41"} for node in _NODES},
    timelines=dict.fromkeys(_NODES, 3),
    amcheck=(),
    checksum_failures=dict.fromkeys(_NODES, 0),
    orphaned_slots=(),
    drift=(),
    suite="pass",
    heal_seconds=17.5,
)
BROKEN: dict[str, FinalState] = {
    "rows": replace(HEALTHY, rows={"pg_node1": {"app.public.t": "5d41"}, "pg_node2": {"app.public.t": "7a2b"}}),
    "timelines": replace(HEALTHY, timelines={"pg_node1": 3, "pg_node2": 2}),
    "amcheck": replace(HEALTHY, amcheck=("pg_node2: item order invariant violated for index t_pkey",)),
    "checksums": replace(HEALTHY, checksum_failures={"pg_node1": 0, "pg_node2": 1}),
    "orphaned-slots": replace(HEALTHY, orphaned_slots=("pg_node9",)),
    "drift": replace(HEALTHY, drift=("pg_node2: Patroni says replica, HAProxy says down",)),
    "suite": replace(HEALTHY, suite="fail"),
    "heal": replace(HEALTHY, heal_seconds=61.0),
}


def _in_final_state(state: FinalState) -> Callable[[], Book]:
    def make() -> Book:
        book = _set([1, 2, 3])
        book.final_state = state
        return book

    return make


for _name, _state in BROKEN.items():
    sample(f"final_state-{_name}", "fail", "final_state", _name)(_in_final_state(_state))
sample("final_state-healthy", "pass", "final_state")(_in_final_state(HEALTHY))
sample("final_state-not-checked", "unknown", "final_state")(_in_final_state(replace(HEALTHY, amcheck=None)))


@sample("faults-never-began", "unknown", "faults")
def _no_fault() -> Book:
    book = _set([1, 2, 3])
    book.faults = ("kill_node", "kill_etcd_leader")
    book.fault("kill_node", Phase.BEGIN, 1.2)
    book.fault("kill_node", Phase.END, 2.2)
    return book


def main() -> None:
    """Write the files again."""
    FOLDER.mkdir(exist_ok=True)
    for old in FOLDER.glob("*.jsonl"):
        old.unlink()
    for name, history in histories().items():
        (FOLDER / f"{name}.jsonl").write_text(text(history), encoding="utf-8")


if __name__ == "__main__":
    main()
