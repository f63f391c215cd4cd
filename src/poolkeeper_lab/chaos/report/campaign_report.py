"""A campaign as Markdown: the figures first, then each sitting with what plans it again, then each scenario."""

from __future__ import annotations

from poolkeeper.report import wording
from poolkeeper.suite.suite_report import escape, fence, table
from poolkeeper_lab.chaos.report import chaos_wording as words
from poolkeeper_lab.chaos.report.campaign_model import Campaign

FIGURES = ("Figure", "")
SITTINGS = ("Sitting", "Outcome", "Took", "Faults", "Operations", "Acknowledged writes", "Lost", "Anomalies")
TALLIES = ("", "Scenario", "Promise", "Turns", "Whole after, at most", "Longest pause at 5100")


def render(campaign: Campaign) -> str:
    """The whole report, ending in one newline."""
    mark = wording.SYMBOLS[campaign.outcome]
    blocks = [
        f"# {mark} {escape(words.VERDICTS[campaign.outcome])}: a campaign of {len(campaign.runs)} sittings",
        "\n".join(
            f"- {fact}"
            for fact in (
                f"Cluster: {escape(campaign.cluster)}",
                f"Started: {escape(wording.moment(campaign.started_at))}",
                f"Took: {wording.duration(campaign.seconds)}",
                f"Seed: {campaign.seed}",
            )
        ),
        fence(campaign.replay),
        table(FIGURES, figures(campaign)),
        *_attention(campaign),
        "## Sittings",
        table(SITTINGS, _sittings(campaign)),
        "## Scenarios",
        table(TALLIES, _tallies(campaign)),
        words.METHOD,
    ]
    return "\n\n".join(blocks) + "\n"


def figures(campaign: Campaign) -> list[tuple[str, str]]:
    """What it all comes to, a row a figure."""
    longest = max((tally.longest_heal or 0.0 for tally in campaign.tallies), default=None)
    return [
        ("scenarios run", str(len(campaign.tallies))),
        ("faults injected", f"{campaign.faults:,}"),
        ("operations", f"{campaign.operations:,}"),
        ("acknowledged", f"{campaign.acknowledged:,}"),
        ("acknowledged writes", f"{campaign.writes:,}"),
        ("acknowledged writes lost", f"{campaign.lost:,}"),
        ("anomalies", f"{campaign.anomalies:,}"),
        ("faults after which the cluster was not whole within 60 s", f"{campaign.unhealed:,}"),
        ("longest time from the end of a fault to a whole cluster", words.seconds(longest)),
        ("sittings that took place, of those planned", f"{len(campaign.runs)} of {campaign.planned}"),
    ]


def _attention(campaign: Campaign) -> list[str]:
    found = [f"sitting {i}: {text}" for i, run in enumerate(campaign.runs, start=1) for text in words.attention(run)]
    found += [f"not run here: {text}" for text in campaign.left_out]
    found += [campaign.problem] if campaign.problem else []
    return ["## Needs attention", "\n".join(f"- {escape(text)}" for text in found)] if found else []


def _sittings(campaign: Campaign) -> list[tuple[str, ...]]:
    return [
        (
            str(i),
            f"{wording.SYMBOLS[run.outcome]} {run.outcome.value}",
            wording.duration(run.seconds),
            str(run.injected),
            f"{sum(share.ok + share.fail + share.info for share in run.shares):,}",
            f"{sum(share.writes for share in run.shares):,}",
            str(run.lost),
            str(sum(judgement.count for judgement in run.judgements)),
        )
        for i, run in enumerate(campaign.runs, start=1)
    ]


def _tallies(campaign: Campaign) -> list[tuple[str, ...]]:
    return [
        (
            wording.SYMBOLS[tally.outcome],
            tally.scenario,
            tally.promise,
            str(tally.turns),
            words.seconds(tally.longest_heal),
            words.seconds(tally.longest_pause),
        )
        for tally in campaign.tallies
    ]
