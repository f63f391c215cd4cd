"""The words that the reports of a run of chaos share with the command line, so that they always agree."""

from __future__ import annotations

from collections.abc import Mapping

from poolkeeper.model import endpoint_keys
from poolkeeper.model.verdict import Outcome
from poolkeeper_lab.chaos.report.chaos_model import ChaosRun, Passage, RunVerdict, ScenarioShare

VERDICTS = {
    Outcome.PASS: "Every promise held",
    Outcome.FAIL: "A promise was broken",
    Outcome.UNKNOWN: "It is unknown whether every promise held",
}
PASSAGES = ("#", "Scenario and promise", "Victim", "Fault at", "Lasted", "Recovered after", "Acknowledged", "Refused",
            "Open", "Longest pause")  # fmt: skip
SHARES = ("Workload", "Acknowledged", "Refused", "Open", "Codes of what was not acknowledged")
METHOD = (
    "Acknowledged: the server confirmed the operation to its end, without a warning. Refused: the operation has "
    "certainly no effect. Open: the result is unknown; the operation may have taken effect, may do so later, or never. "
    "A pause is the longest time between two acknowledgements at an endpoint, of writes if it takes writes; it is "
    "information, not a verdict. Recovered: the time from the end of the fault until all health checks passed again. "
    "The mark of a scenario says that no anomaly was seen in its time; the findings cover the complete run."
)
PICTURE = (
    "Above: acknowledged operations in each second, at most {peak}. Below: their latency, the median and (thin) the "
    "longest, in decades. Red: a fault, by its number below; ochre: from its end until all health checks passed."
)
NONE = "–"


def headline(run: ChaosRun) -> str:
    """Return the verdict in one line."""
    broken = len({p.scenario for p in run.passages if p.began is not None})
    acknowledged = sum(share.ok for share in run.shares)
    scenarios = "1 scenario" if broken == 1 else f"{broken} scenarios"
    return f"{VERDICTS[run.outcome]}: {scenarios}, {acknowledged:,} operations acknowledged"


def seconds(value: float | None) -> str:
    """Return a length of time to the tenth of a second."""
    return NONE if value is None else f"{value:.1f} s"


def passage(p: Passage) -> tuple[str, ...]:
    """Return a scenario's name and promise, then its cells in the order of PASSAGES."""
    lasted = None if p.began is None or p.healed is None else p.healed - p.began
    counts = p.completions or {}
    figures = [NONE if p.completions is None else f"{counts.get(name, 0):,}" for name in ("ok", "fail", "info")]
    times = (seconds(p.began), seconds(lasted), seconds(p.heal_seconds))
    return (p.scenario, p.promise, ", ".join(p.victims) or NONE, *times, *figures, pauses(p.pauses or {}))


def pauses(found: Mapping[str, float]) -> str:
    """Return the pauses of the three endpoints; the nodes' own ports refuse most of the time, which is no pause."""
    return (
        ", ".join(f"{endpoint} {found[endpoint]:.2f} s" for endpoint in endpoint_keys.POOLED if endpoint in found)
        or NONE
    )


def share(s: ScenarioShare) -> tuple[str, ...]:
    """Return a workload's cells in the order of SHARES."""
    codes = ", ".join(f"{code} × {count}" for code, count in s.codes.items()) or NONE
    return (s.workload, f"{s.ok:,}", f"{s.fail:,}", f"{s.info:,}", codes)


def name(verdict: RunVerdict) -> str:
    """Return a checker's name as "set (set_balanced)"; one word if both are the same."""
    is_one = verdict.workload in ("", verdict.checker)
    return verdict.checker if is_one else f"{verdict.checker} ({verdict.workload})"


def attention(run: ChaosRun) -> list[str]:
    """Return what needs attention, a line each."""
    lines = [f"{name(j)}: {j.summary}: {shown.name}: {shown.text}" for j in run.verdicts for shown in j.anomalies[:1]]
    lines += [f"{name(j)}: unknown: {text}" for j in run.verdicts for text in j.unknowns]
    lines += [f"{p.number}, {p.scenario}: {p.problem}" for p in run.passages if p.problem]
    lines += list(run.problems)
    if run.is_interrupted:
        lines.append("the run was interrupted; the checkers evaluated what was recorded until then")
    return lines
