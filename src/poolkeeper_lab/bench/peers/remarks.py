"""What is told of failovers beside the medians: the longest, what was lost, what did not recover, who was quicker.

Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from poolkeeper_lab.bench.measure import estimate
from poolkeeper_lab.bench.measure.rounds import Measure
from poolkeeper_lab.bench.peers.peer_catalogue import FAULTS, Peer, Setting
from poolkeeper_lab.bench.peers.poolkeeper_peer import TITLE
from poolkeeper_lab.bench.peers.trial import BACK_SECONDS, SERVED_SECONDS, FailoverTrial
from poolkeeper_lab.bench.report.bench_model import BenchTable

GAP = Measure("write gap", "s", "less", "Write gap, and the time until the cluster is whole again by itself")
BACK = Measure("whole again", "s", "less", GAP.group)
OUTCOMES = (
    "Fault", "Cluster", "Runs", "Longest gap, s", "Acknowledged", "Lost", "Stored twice", "Out of nowhere",
    f"Not served within {SERVED_SECONDS} s", f"Not whole by itself within {BACK_SECONDS} s",
)  # fmt: skip
SETTINGS = ("Cluster", "Versions", "Part", "Setting", "From")


@dataclass(frozen=True)
class Record:
    """One fault on one cluster."""

    cluster: str
    fault: str
    trial: FailoverTrial


def line(record: Record) -> str:
    """For the person who watches."""
    seen = record.trial
    least = "at least " if seen.is_open else ""
    back = f", whole again {seen.back:.1f} s" if seen.back is not None else ""
    lost = f", {len(seen.judgement.lost)} lost of {seen.acknowledged}" if seen.judgement else ""
    problems = "".join(f"; {problem}" for problem in seen.problems)
    return f"  {record.cluster}, {record.fault}: write gap {least}{seen.gap:.2f} s{back}{lost}{problems}"


def _groups(records: Iterable[Record]) -> dict[tuple[str, str], list[FailoverTrial]]:
    """(fault, cluster) → its trials, fault after fault."""
    found: dict[tuple[str, str], list[FailoverTrial]] = {}
    for record in sorted(records, key=lambda r: list(FAULTS).index(r.fault)):
        found.setdefault((record.fault, record.cluster), []).append(record.trial)
    return found


def outcomes(records: Iterable[Record]) -> BenchTable:
    """All trials, those under foreign load too: a lost write is lost under any load."""
    rows = tuple(
        (
            fault,
            cluster,
            str(len(trials)),
            _least(max(trials, key=lambda t: t.gap)),
            f"{sum(t.acknowledged for t in trials):,}",
            *(_total(trials, kind) for kind in ("lost", "duplicates", "phantoms")),
            str(sum(t.is_open for t in trials)),
            str(sum(t.back is None for t in trials)),
        )
        for (fault, cluster), trials in _groups(records).items()
    )
    return BenchTable(title="What was lost, and what did not recover", header=OUTCOMES, rows=rows)


def _total(trials: Sequence[FailoverTrial], kind: str) -> str:
    """Over those that were judged; a trial that was not is never counted as one without loss."""
    judged = [t.judgement for t in trials if t.judgement]
    counted = str(sum(len(getattr(judgement, kind)) for judgement in judged))
    return counted if len(judged) == len(trials) else f"{counted} in {len(judged)} judged"


def _least(trial: FailoverTrial) -> str:
    return f"{'≥ ' if trial.is_open else ''}{trial.gap:.2f}"


def problems(records: Iterable[Record]) -> Iterator[str]:
    """A sentence for each loss, and for each trial that ended otherwise than whole; the same ones are counted."""
    counted: dict[str, int] = {}
    for record in records:
        judgement = record.trial.judgement
        sentences = [*record.trial.problems]
        if judgement and not judgement.is_sound:
            sentences.append(
                f"{len(judgement.lost)} acknowledged writes lost, {len(judgement.duplicates)} stored twice, "
                f"{len(judgement.phantoms)} out of nowhere, of {judgement.acknowledged} acknowledged"
            )
        for sentence in sentences:
            text = f"{record.cluster}, {record.fault}: {sentence}"
            counted[text] = counted.get(text, 0) + 1
    yield from (f"{text} ({times} times)" if times > 1 else text for text, times in counted.items())


def better(gaps: Mapping[tuple[str, str], Sequence[float]], peers: Sequence[Peer], seed: int) -> Iterator[str]:
    """Where a peer's gap is shorter than ours: whether the intervals part, and what it does otherwise."""
    for (fault, cluster), values in gaps.items():
        ours, theirs = estimate.estimate(gaps.get((fault, TITLE), ()), seed), estimate.estimate(values, seed)
        if cluster == TITLE or ours is None or theirs is None or theirs.median >= ours.median:
            continue
        sure = "" if theirs.high < ours.low else ", though the intervals overlap"
        why = next((peer.why_quick for peer in peers if peer.title == cluster), "")
        yield (
            f"{cluster} is quicker than {TITLE} in {fault}: {theirs.median:.2f} s to {ours.median:.2f} s{sure}"
            + (f"; {why}" if why else "")
        )


def peers(found: Sequence[Peer], versions: Mapping[str, str]) -> BenchTable:
    """Every peer with its versions and settings, and where each setting is from."""
    rows = [row for peer in found for row in settings(peer.title, peer.packages, peer.settings, versions)]
    return BenchTable(title="The peers, their versions and settings", header=SETTINGS, rows=tuple(rows))


def settings(
    title: str, packages: Sequence[str], found: Sequence[Setting], versions: Mapping[str, str]
) -> tuple[tuple[str, ...], ...]:
    """The rows of one peer in the order of SETTINGS; its name and versions stand in the first."""
    told = ", ".join(f"{name} {versions.get(name, 'unknown')}" for name in packages)
    return tuple(
        (*((title, told) if i == 0 else ("", "")), setting.part, setting.what, setting.source)
        for i, setting in enumerate(found)
    )
