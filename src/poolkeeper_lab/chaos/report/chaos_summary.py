"""Turn a run and its verdict into the values of its report. Pure.

A scenario's time is from its fault until the next one's. An anomaly is a scenario's where the last operation that shows
it began in its time; one that is only seen in the end, as a lost write, is in the findings alone.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from poolkeeper.model import verdict
from poolkeeper.model.verdict import Outcome
from poolkeeper_lab.chaos.checkers import gaps, grow_set_checker
from poolkeeper_lab.chaos.checkers.finding import Anomaly, CheckerFinding
from poolkeeper_lab.chaos.checkers.run_verdict import RunEvaluation
from poolkeeper_lab.chaos.history.history import Completion, History, Operation, Phase
from poolkeeper_lab.chaos.report.chaos_model import ChaosRun, Passage, Pause, RunVerdict, ScenarioShare, Shown
from poolkeeper_lab.chaos.run.nemesis import PlayedScenario
from poolkeeper_lab.drill.ledger import Gap

ANOMALIES, OPERATIONS, LETTERS = 10, 8, 400  # shown of a finding, of an anomaly, of an operation


@dataclass(frozen=True)
class About:
    """Facts of a run that its history does not have."""

    cluster: str
    started_at: str
    seconds: float
    replay: str
    path: str
    left_out: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    is_interrupted: bool = False


def made(about: About, history: History, evaluation: RunEvaluation, played: Sequence[PlayedScenario]) -> ChaosRun:
    """Return the report's values."""
    by_number = {o.number: o for o in history.operations}
    zero = history.operations[0].began if history.operations else 0.0
    doubts = [Outcome.UNKNOWN] if about.problems else []
    return ChaosRun(
        cluster=about.cluster,
        started_at=about.started_at,
        seconds=about.seconds,
        seed=history.header.seed,
        outcome=verdict.merge([evaluation.outcome, *doubts]),
        replay=about.replay,
        history=about.path,
        passages=passages(history, evaluation, played, zero),
        left_out=about.left_out,
        verdicts=tuple(_verdict(finding, by_number, zero) for finding in evaluation.findings),
        shares=shares(history),
        pauses=_all_pauses(history, played),
        rate=rate(history.operations, zero),
        latency=latency(history.operations, zero),
        injected=sum(event.phase is Phase.BEGIN for event in history.nemesis),
        lost=sum(map(_lost, evaluation.findings)),
        problems=about.problems,
        is_interrupted=about.is_interrupted,
    )


def _lost(finding: CheckerFinding) -> int:
    """Return the lost elements of a set, or the anomalies of that kind of lists."""
    if grow_set_checker.LOST in finding.figures:
        return int(finding.figures[grow_set_checker.LOST])
    return sum(anomaly.name.startswith(grow_set_checker.LOST) for anomaly in finding.anomalies)


def rate(operations: Iterable[Operation], zero: float) -> tuple[tuple[float, int], ...]:
    """Return the acknowledged operations in each second."""
    counts = Counter(math.floor(o.ended - zero) for o in operations if o.is_ok)
    return tuple((float(second), counts[second]) for second in range(max(counts, default=-1) + 1))


def latency(operations: Iterable[Operation], zero: float) -> tuple[tuple[float, float, float], ...]:
    """Each second in which something was acknowledged, with the median and the longest time that it took, in ms."""
    found: dict[int, list[float]] = {}
    for o in operations:
        if o.is_ok:
            found.setdefault(math.floor(o.ended - zero), []).append(1000 * (o.ended - o.began))
    return tuple((float(second), round(median(of), 2), round(max(of), 2)) for second, of in sorted(found.items()))


def shares(history: History) -> tuple[ScenarioShare, ...]:
    """Return each workload's operations, in the order of the header."""
    return tuple(_share(name, history.of(name)) for name in history.header.workloads)


def _share(name: str, own: History) -> ScenarioShare:
    codes = Counter(o.code or "no answer" for o in own.operations if not o.is_ok)
    ok, fail, info = (own.count(completion) for completion in (Completion.OK, Completion.FAIL, Completion.INFO))
    writes = sum(o.is_ok and gaps.is_write(o) for o in own.operations)
    return ScenarioShare(name, ok, fail, info, dict(codes.most_common()), writes)


def passages(
    history: History, evaluation: RunEvaluation, played: Sequence[PlayedScenario], zero: float
) -> tuple[Passage, ...]:
    """Return each iteration with the events in its time."""
    begun = sorted(turn.began for turn in played if turn.began is not None)
    by_number = {o.number: o for o in history.operations}
    found = [anomaly for finding in evaluation.findings for anomaly in finding.anomalies]
    seen = [at for anomaly in found if (at := _seen_at(anomaly, by_number)) is not None]
    return tuple(_passage(turn, _time_of(turn, begun), history, seen, zero) for turn in played)


def _seen_at(anomaly: Anomaly, by_number: Mapping[int, Operation]) -> float | None:
    """Return the time of an anomaly; None if only the final reads show it, which are after every scenario."""
    shown = [by_number[number] for number in anomaly.operations if number in by_number]
    return max((o.began for o in shown), default=None)


def _time_of(turn: PlayedScenario, begun: Sequence[float]) -> tuple[float, float] | None:
    """From its fault to the next one's; the last one ends with its own end."""
    if turn.began is None:
        return None
    after = bisect_right(begun, turn.began)
    return turn.began, begun[after] if after < len(begun) else max(turn.ended, turn.began)


def _passage(
    turn: PlayedScenario, time: tuple[float, float] | None, history: History, seen: Iterable[float], zero: float
) -> Passage:
    def after(moment: float | None) -> float | None:
        return None if moment is None else round(moment - zero, 3)

    scenario = turn.scheduled.scenario
    own = [o for o in history.operations if time and time[0] <= o.began < time[1]]
    is_broken = turn.is_unhealed or any(time and time[0] <= at < time[1] for at in seen)
    is_unknown = bool(turn.problem) or turn.recovered is None
    return Passage(
        number=turn.scheduled.number,
        scenario=scenario.name,
        promise=scenario.promise,
        faults=tuple(step.sentence for step in scenario.steps),
        victims=tuple(turn.victims),
        outcome=Outcome.FAIL if is_broken else Outcome.UNKNOWN if is_unknown else Outcome.PASS,
        problem=turn.problem or ("" if turn.began else "never began"),
        began=after(turn.began),
        healed=after(turn.healed),
        recovered=after(turn.recovered),
        completions={c.value: sum(o.completion is c for o in own) for c in Completion} if time else None,
        pauses=_pauses(history, time) if time else None,
    )


def _all_pauses(history: History, played: Iterable[PlayedScenario]) -> tuple[Pause, ...]:
    """Return the pauses while clients worked; after the last iteration only the run itself reads."""
    end = max((turn.ended for turn in played if turn.began is not None), default=history.last)
    found = _gaps(history, (-math.inf, end))
    return tuple(Pause(endpoint, gap.seconds, gap.is_open) for endpoint, gap in found.items())


def _pauses(history: History, time: tuple[float, float]) -> dict[str, float]:
    """Return endpoint → its longest pause in that time."""
    return {endpoint: round(gap.seconds, 3) for endpoint, gap in _gaps(history, time).items()}


def _gaps(history: History, time: tuple[float, float]) -> dict[str, Gap]:
    own = tuple(o for o in history.operations if time[0] <= o.began < time[1])
    return gaps.longest(History(history.header, own, last=time[1]))


def _verdict(finding: CheckerFinding, by_number: Mapping[int, Operation], zero: float) -> RunVerdict:
    first = finding.permitted[0] if finding.permitted else None
    permitted = f"{len(finding.permitted)} seen, as {first.name}: {first.text}" if first else ""
    return RunVerdict(
        finding.checker,
        finding.workload,
        finding.outcome,
        finding.summary,
        len(finding.anomalies),
        tuple(_shown(anomaly, by_number, zero) for anomaly in finding.anomalies[:ANOMALIES]),
        finding.unknowns,
        permitted,
    )


def _shown(anomaly: Anomaly, by_number: Mapping[int, Operation], zero: float) -> Shown:
    numbers = [number for number in anomaly.operations if number in by_number]
    lines = [words(by_number[number], zero) for number in numbers[:OPERATIONS]]
    return Shown(anomaly.name, anomaly.text, tuple(lines))


def words(o: Operation, zero: float) -> str:
    """Return an operation as a line."""
    end = "?" if o.is_info else f"{o.ended - zero:.3f}"
    completion = f"{o.completion.value} {o.code}".strip()
    result = f" {o.result}" if o.is_ok and o.result is not None else ""
    line = (
        f"#{o.number} client {o.process}.{o.session} at {o.endpoint}, {o.began - zero:.3f}–{end} s: {o.f} {o.value} → "
    )
    return _cut(f"{line}{completion}{result}")


def _cut(text: str) -> str:
    return text if len(text) <= LETTERS else f"{text[: LETTERS // 2]} … {text[-LETTERS // 2 :]}"
