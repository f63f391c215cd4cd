"""The keeper's process: `python -m poolkeeper.keeper cluster.json`, Pgpool's control password in its environment."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from poolkeeper.keeper import agent
from poolkeeper.keeper.journal import Journal
from poolkeeper.model.spec import KEEPER_PORT, ClusterSpec

PASSWORD = "POOLKEEPER_PCP_PASSWORD"


def main(path: Path, port: int = KEEPER_PORT) -> None:
    """Keep the cluster that the file declares, until told to stop; the API listens on `port`."""
    spec = ClusterSpec.model_validate_json(path.read_text())
    asyncio.run(agent.run(spec, os.environ.pop(PASSWORD), Journal(), port))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
