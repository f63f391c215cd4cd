"""Puts the reports of a campaign down: each whole or not at all."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from poolkeeper.system import state
from poolkeeper_lab.chaos.report import campaign_report, chaos_json
from poolkeeper_lab.chaos.report.campaign_model import Campaign

SCHEMA = 1


def document(campaign: Campaign) -> dict[str, Any]:
    """The whole as plain data, schema 1: the figures, each scenario's tally, and every run as its own report has it."""
    return {
        "schema": SCHEMA,
        "cluster": campaign.cluster,
        "started_at": campaign.started_at,
        "seconds": campaign.seconds,
        "seed": campaign.seed,
        "replay": campaign.replay,
        "outcome": campaign.outcome,
        "planned": campaign.planned,
        "problem": campaign.problem,
        "left_out": list(campaign.left_out),
        "scenarios": len(campaign.tallies),
        "faults": campaign.faults,
        "operations": campaign.operations,
        "acknowledged": campaign.acknowledged,
        "writes": campaign.writes,
        "lost": campaign.lost,
        "anomalies": campaign.anomalies,
        "unhealed": campaign.unhealed,
        "tallies": [asdict(tally) for tally in campaign.tallies],
        "runs": [chaos_json.document(run) for run in campaign.runs],
    }


def write_all(campaign: Campaign, directory: Path) -> tuple[Path, ...]:
    """Write campaign.md and campaign.json; their paths. Raises PermissionRefused or DiskFull."""
    told = json.dumps(document(campaign), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    texts = {
        directory / "campaign.md": campaign_report.render(campaign),
        directory / "campaign.json": told,
    }
    for path, text in texts.items():
        state.write(path, text, mode=0o644)
    return tuple(texts)
