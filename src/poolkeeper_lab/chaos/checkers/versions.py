"""Infer the order of each list's elements from its longest read, and find the reads that contradict it.

Anomalies named here, after Adya and Elle: G1a (a read of an aborted transaction's write), G1b (a read of the
intermediate state of a transaction), internal, incompatible-order, duplicate-elements, garbage (no transaction appended
the element), lost-append.

Invariant: an INFO transaction with any append that was read is committed, with all its appends. An acknowledged append
that no read shows is lost only if a read that had to show it began after it; without such a read it is *unchecked*.
Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from poolkeeper_lab.chaos.checkers.appends import Element, Key, Transaction, Version
from poolkeeper_lab.chaos.checkers.finding import Anomaly, some
from poolkeeper_lab.chaos.history.history import Completion


@dataclass(frozen=True)
class Versions:
    """The facts that follow from the reads.

    `committed` holds the numbers of all transactions that took effect, `unread` those with unread appends.
    """

    by_number: Mapping[int, Transaction]
    writers: Mapping[tuple[Key, Element], int]
    order: Mapping[Key, Version]
    committed: frozenset[int]
    unread: Mapping[Key, tuple[int, ...]] = field(default_factory=dict)

    def writer(self, key: Key, element: Element) -> int | None:
        """Return the transaction that appended the element; None if there is none, or if it was aborted."""
        number = self.writers.get((key, element))
        return number if number in self.committed else None


def infer(transactions: Sequence[Transaction]) -> Versions:
    """Infer the writers and the order of all elements from the reads.

    Raises:
        ValueError: if an element was appended to a list twice: then its writer is not known.
    """
    writers = _writers(transactions)
    order: dict[Key, Version] = {}
    observed: set[tuple[Key, Element]] = set()
    for key, version in _reads(transactions):
        if len(version) > len(order.get(key, ())) or key not in order:
            order[key] = version
    for key, version in _distinct(transactions, order):
        observed.update((key, element) for element in version)
    by_number = {t.number: t for t in transactions}
    seen = {writers[at] for at in observed if at in writers}
    committed = frozenset(n for n, t in by_number.items() if t.is_ok or (t.completion is Completion.INFO and n in seen))
    unread: dict[Key, list[int]] = {}
    for (key, element), number in writers.items():
        if number in committed and (key, element) not in observed and number not in unread.setdefault(key, []):
            unread[key].append(number)
    return Versions(by_number, writers, order, committed, {key: tuple(n) for key, n in unread.items() if n})


def _writers(transactions: Iterable[Transaction]) -> dict[tuple[Key, Element], int]:
    writers: dict[tuple[Key, Element], int] = {}
    for transaction in transactions:
        for key, version in transaction.appends.items():
            for element in version:
                if (key, element) in writers:
                    raise ValueError(f"{element!r} was appended to {key!r} twice")
                writers[key, element] = transaction.number
    return writers


def _reads(transactions: Iterable[Transaction]) -> Iterator[tuple[Key, Version]]:
    for transaction in transactions:
        yield from transaction.reads


def _distinct(transactions: Iterable[Transaction], order: Mapping[Key, Version]) -> Iterator[tuple[Key, Version]]:
    """Yield each longest read, and the reads that are no prefix of it: together they show every element ever read."""
    yield from order.items()
    yield from ((key, version) for key, version in _reads(transactions) if version != order[key][: len(version)])


def direct(versions: Versions) -> Iterator[Anomaly]:
    """Yield all anomalies that need no cycle, except lost appends."""
    for transaction in versions.by_number.values():
        for words in transaction.disorder:
            yield Anomaly("internal", f"#{transaction.number} contradicts itself: {words}", (transaction.number,))
        for key, version in dict.fromkeys(transaction.reads):
            yield from _of_version(versions, transaction.number, key, version)
        for key, version in transaction.first_reads.items():
            yield from _intermediate(versions, transaction.number, key, version)


def _of_version(versions: Versions, reader: int, key: Key, version: Version) -> Iterator[Anomaly]:
    longest = versions.order[key]
    if len(set(version)) < len(version):
        twice = sorted({e for e in version if version.count(e) > 1}, key=str)
        yield Anomaly("duplicate-elements", f"#{reader} read {some(twice)} more than once in {key}", (reader,))
    if version != longest[: len(version)]:
        at = next(i for i, (a, b) in enumerate(zip(version, longest, strict=False)) if a != b)
        words = f"#{reader} read {version[at]} at place {at} of {key}, where the longest read has {longest[at]}"
        yield Anomaly("incompatible-order", words, (reader,))
    elif version != longest and len(version) < len(longest):
        return  # the longest read shows the elements of a prefix too, and they are reported once, for the longest read
    for element in version:
        writer = versions.writers.get((key, element))
        if writer is None:
            yield Anomaly("garbage", f"#{reader} read {element} in {key}, which no client appended", (reader,))
        elif versions.by_number[writer].completion is Completion.FAIL:
            words = f"#{reader} read {element} in {key}, which #{writer} appended, and #{writer} was aborted"
            yield Anomaly("G1a", words, (writer, reader))


def _intermediate(versions: Versions, reader: int, key: Key, version: Version) -> Iterator[Anomaly]:
    writer = versions.writers.get((key, version[-1])) if version else None
    if writer is None or writer == reader:
        return
    complete = versions.by_number[writer].appends[key]
    if version[-1] != complete[-1]:
        words = f"#{reader} read {key} up to {version[-1]}, and #{writer} appended more, up to {complete[-1]}"
        yield Anomaly("G1b", words, (writer, reader))


@dataclass(frozen=True)
class Losses:
    """The lost appends; `unchecked` counts acknowledged appends that no read had to show."""

    lost: tuple[Anomaly, ...]
    unchecked: int


def losses(versions: Versions, is_current: bool) -> Losses:
    """Find acknowledged appends that a later read lacks.

    With `is_current`, every read has to show everything acknowledged before it; without it, only final reads have to.
    """
    lost: dict[tuple[Key, Element], Anomaly] = {}
    latest: dict[Key, Transaction] = {}
    appended = _by_key(versions)
    for transaction in sorted(versions.by_number.values(), key=lambda t: t.began):
        if transaction.is_ok and (is_current or transaction.is_final):
            latest.update(dict.fromkeys(transaction.first_reads, transaction))
        if transaction.is_ok and transaction.is_final:
            for key, version in transaction.first_reads.items():
                lost.update(_missing(transaction, key, version, appended.get(key, ())))
    unchecked = 0
    for key, numbers in versions.unread.items():
        reader = latest.get(key)
        if reader:
            lost.update(_missing(reader, key, versions.order[key], appended[key]))
        ends = [versions.by_number[number].ended for number in numbers if versions.by_number[number].is_ok]
        unchecked += sum(reader is None or end >= reader.began for end in ends)
    return Losses(tuple(lost.values()), unchecked)


Appended = Sequence[tuple[Element, Transaction]]


def _by_key(versions: Versions) -> dict[Key, list[tuple[Element, Transaction]]]:
    """Return every element that a transaction tried to append, with its writer."""
    appended: dict[Key, list[tuple[Element, Transaction]]] = {}
    for (key, element), number in versions.writers.items():
        appended.setdefault(key, []).append((element, versions.by_number[number]))
    return appended


def _missing(
    reader: Transaction, key: Key, version: Version, appended: Appended
) -> Iterator[tuple[tuple[Key, Element], Anomaly]]:
    shown = set(version)
    for element, writer in appended:
        if writer.is_ok and writer.ended < reader.began and element not in shown:
            words = f"#{writer.number}'s append of {element} to {key} was acknowledged, and #{reader.number} lacks it"
            yield (key, element), Anomaly("lost-append", words, (writer.number, reader.number))
