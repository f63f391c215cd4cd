"""The report of failovers beside the medians: longest gaps, losses, failed recoveries, quicker peers. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from poolkeeper_lab.bench.measure import estimate
from poolkeeper_lab.bench.measure.rounds import Measure
from poolkeeper_lab.bench.peers.peer_catalogue import FAULTS, Peer, Setting
from poolkeeper_lab.bench.peers.poolkeeper_peer import TITLE
from poolkeeper_lab.bench.peers.trial import BACK_SECONDS, SERVED_SECONDS, FailoverTrial
from poolkeeper_lab.bench.report.bench_model import BenchTable

GAP = Measure("write gap", "s", "less", "Write gap, and the time until the cluster has recovered automatically")
BACK = Measure("recovered", "s", "less", GAP.group)
OUTCOMES = (
    "Fault", "Cluster", "Runs", "Longest gap, s", "Acknowledged", "Lost", "Stored twice", "Out of nowhere",
    f"Not served within {SERVED_SECONDS} s", f"Not recovered automatically within {BACK_SECONDS} s",
)  # fmt: skip
SETTINGS = ("Cluster", "Versions", "Part", "Setting", "From")


@dataclass(frozen=True)
class Record:
    """The trial of one fault on one cluster."""

    cluster: str
    fault: str
    trial: FailoverTrial


def line(record: Record) -> str:
    """Return the line that is printed during the run."""
    seen = record.trial
    least = "at least " if seen.is_open else ""
    back = f", recovered {seen.back:.1f} s" if seen.back is not None else ""
    lost = f", {len(seen.verdict.lost)} lost of {seen.acknowledged}" if seen.verdict else ""
    problems = "".join(f"; {problem}" for problem in seen.problems)
    return f"  {record.cluster}, {record.fault}: write gap {least}{seen.gap:.2f} s{back}{lost}{problems}"


def _groups(records: Iterable[Record]) -> dict[tuple[str, str], list[FailoverTrial]]:
    """Group the trials by (fault, cluster), sorted by fault."""
    found: dict[tuple[str, str], list[FailoverTrial]] = {}
    for record in sorted(records, key=lambda r: list(FAULTS).index(r.fault)):
        found.setdefault((record.fault, record.cluster), []).append(record.trial)
    return found


def outcomes(records: Iterable[Record]) -> BenchTable:
    """Return the table of all trials, including those under foreign load: a lost write is lost under any load."""
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
    """Return the total over the checked trials; an unchecked trial never counts as one without loss."""
    verdicts = [t.verdict for t in trials if t.verdict]
    counted = str(sum(len(getattr(verdict, kind)) for verdict in verdicts))
    return counted if len(verdicts) == len(trials) else f"{counted} in {len(verdicts)} checked"


def _least(trial: FailoverTrial) -> str:
    return f"{'≥ ' if trial.is_open else ''}{trial.gap:.2f}"


def problems(records: Iterable[Record]) -> Iterator[str]:
    """Yield a sentence for each loss and for each trial that did not recover; equal sentences are counted."""
    counted: dict[str, int] = {}
    for record in records:
        verdict = record.trial.verdict
        sentences = [*record.trial.problems]
        if verdict and not verdict.is_sound:
            sentences.append(
                f"{len(verdict.lost)} acknowledged writes lost, {len(verdict.duplicates)} stored twice, "
                f"{len(verdict.phantoms)} out of nowhere, of {verdict.acknowledged} acknowledged"
            )
        for sentence in sentences:
            text = f"{record.cluster}, {record.fault}: {sentence}"
            counted[text] = counted.get(text, 0) + 1
    yield from (f"{text} ({times} times)" if times > 1 else text for text, times in counted.items())


def better(gaps: Mapping[tuple[str, str], Sequence[float]], peers: Sequence[Peer], seed: int) -> Iterator[str]:
    """Yield a sentence for each peer with a shorter gap than ours, with the overlap and the difference of method."""
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
    """Return the table of the peers with their versions, their settings and the source of each setting."""
    rows = [row for peer in found for row in settings(peer.title, peer.packages, peer.settings, versions)]
    return BenchTable(title="The peers, their versions and settings", header=SETTINGS, rows=tuple(rows))


def settings(
    title: str, packages: Sequence[str], found: Sequence[Setting], versions: Mapping[str, str]
) -> tuple[tuple[str, ...], ...]:
    """Return the rows of one peer in the order of SETTINGS; the first row has its name and versions."""
    package_versions = ", ".join(f"{name} {versions.get(name, 'unknown')}" for name in packages)
    return tuple(
        (*((title, package_versions) if i == 0 else ("", "")), setting.part, setting.what, setting.source)
        for i, setting in enumerate(found)
    )
