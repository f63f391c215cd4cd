"""The keeper's process: `python -m poolkeeper.keeper cluster.json`, with two passwords in its environment.

They are the password of Pgpool-II's control port and that of the role of the checks.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from poolkeeper.keeper import agent
from poolkeeper.keeper.journal import Journal
from poolkeeper.model.spec import KEEPER_PORT, ClusterSpec

PASSWORDS = {"POOLKEEPER_PCP_PASSWORD": "pcp", "POOLKEEPER_CHECK_PASSWORD": "check"}  # variable → secret


def main(path: Path, port: int = KEEPER_PORT) -> None:
    """Run the keeper of the cluster that the file declares until it is stopped; the API listens on `port`."""
    spec = ClusterSpec.model_validate_json(path.read_text(encoding="utf-8"))
    control, check = (os.environ.pop(name) for name in PASSWORDS)
    asyncio.run(agent.run(spec, control, check, Journal(), port))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
