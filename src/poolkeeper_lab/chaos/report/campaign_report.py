"""A campaign as a document, and its two files: Markdown and JSON.

The figures come first, then each session, then each scenario.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from poolkeeper.model.verdict import Outcome
from poolkeeper.report import markdown, plain, wording, writer
from poolkeeper.report.document import Cell, Document, Fact, Item, Listing, Paragraph, Section, table
from poolkeeper_lab.chaos.report import chaos_report, chaos_wording
from poolkeeper_lab.chaos.report.campaign_model import Campaign, CampaignTally

SCHEMA = 1
FIGURES = ("Figure", "")
SESSIONS = ("Session", "Outcome", "Took", "Faults", "Operations", "Acknowledged writes", "Lost", "Anomalies")
TALLIES = ("", "Scenario", "Promise", "Iterations", "Recovered after, at most", "Longest pause at 5100")


class CampaignDocument(BaseModel):
    """A `Campaign` in JSON, without its runs."""

    model_config = ConfigDict(from_attributes=True, frozen=True)

    cluster: str
    started_at: str
    seconds: float
    seed: int
    replay: str
    planned: int
    problem: str
    left_out: tuple[str, ...]
    outcome: Outcome
    scenarios: int
    faults: int
    operations: int
    acknowledged: int
    writes: int
    lost: int
    anomalies: int
    unhealed: int
    tallies: tuple[CampaignTally, ...]


def document(campaign: Campaign) -> Document:
    """Return the report that Markdown renders."""
    facts = (
        Fact("Cluster", campaign.cluster),
        Fact("Started", wording.moment(campaign.started_at), campaign.started_at),
        Fact("Took", wording.duration(campaign.seconds)),
        Fact("Seed", str(campaign.seed)),
    )
    scenarios = table("Each scenario over all its iterations", TALLIES, _tallies(campaign), heading=1)
    return Document(
        topic="chaos campaign",
        cluster=campaign.cluster,
        outcome=campaign.outcome,
        title=f"{chaos_wording.VERDICTS[campaign.outcome]}: a campaign of {len(campaign.runs)} sessions",
        facts=facts,
        attention=tuple(map(Item, _attention(campaign))),
        sections=(
            Section("Repeat", (Listing(campaign.replay),)),
            Section("Figures", (table("The figures of the campaign", FIGURES, list(figures(campaign))),)),
            Section("Sessions", (table("Each session with its figures", SESSIONS, _sessions(campaign)),)),
            Section("Scenarios", (scenarios, Paragraph(chaos_wording.METHOD, is_quiet=True))),
        ),
    )


def to_markdown(campaign: Campaign) -> str:
    """Return the report as Markdown."""
    return markdown.render(document(campaign))


def plain_document(campaign: Campaign) -> dict[str, Any]:
    """Return the JSON document, schema 1: the figures, each scenario's tally, and the document of every run."""
    return {
        "schema": SCHEMA,
        **plain.data(CampaignDocument.model_validate(campaign)),
        "runs": [chaos_report.plain_document(run) for run in campaign.runs],
    }


def write_all(campaign: Campaign, directory: Path) -> tuple[Path, ...]:
    """Write campaign.md and campaign.json; return their paths in this order.

    Raises:
        PermissionRefused: if the directory or a file is not writable.
        DiskFull: if there is no space left.
    """
    texts = {"campaign.md": to_markdown(campaign), "campaign.json": plain.text(plain_document(campaign))}
    return writer.write_all({directory / name: text for name, text in texts.items()}, directory)


def figures(campaign: Campaign) -> list[tuple[str, str]]:
    """Return the figures of the campaign, a row a figure."""
    longest = max((tally.longest_heal or 0.0 for tally in campaign.tallies), default=None)
    return [
        ("scenarios run", str(campaign.scenarios)),
        ("faults injected", f"{campaign.faults:,}"),
        ("operations", f"{campaign.operations:,}"),
        ("acknowledged", f"{campaign.acknowledged:,}"),
        ("acknowledged writes", f"{campaign.writes:,}"),
        ("acknowledged writes lost", f"{campaign.lost:,}"),
        ("anomalies", f"{campaign.anomalies:,}"),
        ("faults after which the cluster had not recovered within 60 s", f"{campaign.unhealed:,}"),
        ("longest time from the end of a fault to a recovered cluster", chaos_wording.seconds(longest)),
        ("sessions that took place, of those planned", f"{len(campaign.runs)} of {campaign.planned}"),
    ]


def _attention(campaign: Campaign) -> list[str]:
    found = [
        f"session {i}: {text}" for i, run in enumerate(campaign.runs, start=1) for text in chaos_wording.attention(run)
    ]
    found += [f"not run here: {text}" for text in campaign.left_out]
    return found + ([campaign.problem] if campaign.problem else [])


def _sessions(campaign: Campaign) -> list[tuple[str | Cell, ...]]:
    return [
        (
            str(i),
            Cell(run.outcome.value, run.outcome),
            wording.duration(run.seconds),
            str(run.injected),
            f"{sum(share.ok + share.fail + share.info for share in run.shares):,}",
            f"{sum(share.writes for share in run.shares):,}",
            str(run.lost),
            str(sum(verdict.count for verdict in run.verdicts)),
        )
        for i, run in enumerate(campaign.runs, start=1)
    ]


def _tallies(campaign: Campaign) -> list[tuple[str | Cell, ...]]:
    return [
        (
            Cell("", tally.outcome),
            tally.scenario,
            tally.promise,
            str(tally.turns),
            chaos_wording.seconds(tally.longest_heal),
            chaos_wording.seconds(tally.longest_pause),
        )
        for tally in campaign.tallies
    ]
