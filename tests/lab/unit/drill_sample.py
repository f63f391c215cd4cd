"""A drill as it might have gone: three rounds of a fault with a baseline, one of another that did not heal."""

from __future__ import annotations

from poolkeeper_lab.drill import drill_faults
from poolkeeper_lab.drill.drill_results import Drill, DrillRound, EndpointGap, Series
from poolkeeper_lab.drill.ledger import LedgerVerdict
from poolkeeper_lab.drill.split import Split

SOUND = LedgerVerdict(5000, 2, 1, (), (), (), 1, 0, {"57P01": 2, "lost": 1})
GAPS = (1.25, 1.5, 2.75)


def made(number: int, gap: float, keeper: bool = True, fault: str = "kill_node") -> DrillRound:
    """Return a round with that write gap, half of it detection."""
    split = Split(gap / 2, gap / 8, gap / 8, gap / 4, "pg_node2")
    rate = tuple((round(i / 10 - 2, 1), 0 if 20 <= i < 20 + gap * 10 else 18) for i in range(int(gap * 10) + 50))
    return DrillRound(
        fault,
        number,
        keeper,
        victim="pg_node1",
        write=EndpointGap(gap, -0.004, {"kept": gap + 0.1, "fresh": gap}),
        read=EndpointGap(0.2, 0.1, {"kept": 0.2, "fresh": 0.3}),
        verdict=SOUND,
        read_errors={"connect: refused": 1},
        split=split,
        healed=gap + 3,
        back=12.5,
        rate=rate,
    )


def series(name: str, rounds: tuple[DrillRound, ...]) -> Series:
    """Return the rounds of a fault of the catalogue."""
    (entry,) = drill_faults.choose((name,))
    return Series(name, entry.sentence, rounds, entry.goals)


KILLED = series(
    "kill_node",
    tuple(made(i, gap) for i, gap in enumerate(GAPS, start=1))
    + tuple(made(i, 10 * g, False) for i, g in enumerate(GAPS, 1)),
)
UNHEALED = series(
    "kill_patroni", (DrillRound("kill_patroni", 1, True, "pg_node1", "not checked, <b>no node</b> | answers"),)
)
SAMPLE = Drill("poolkeeper", "2026-01-02T03:04:05+00:00", 321.0, 7, 3, (KILLED, UNHEALED))
GOOD = Drill("poolkeeper", "2026-01-02T03:04:05+00:00", 61.5, 7, 1, (series("kill_node", (made(1, 1.25),)),))
