"""`startup` as a part of `bench all`: how long a person waits, in the frame's terms.

Not promised: that its goals can be judged while the cluster itself runs beside it; then the figures are told and the
goals are not measured.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from poolkeeper.bench import estimate, startup
from poolkeeper.bench.parts import Options
from poolkeeper.model.bench import Goal, Section, Tally
from poolkeeper.model.progress import Progress
from poolkeeper.place import Place
from poolkeeper.system import compose, images

ROUNDS = 3
UP_GOAL = 10.0  # seconds
UP = "up, from nothing"
METHOD = (
    "A cluster of its own name, network and ports is started and taken down in each round, by the commands that a user "
    "types, with the images built. The yardstick is one initdb in a container of the same image."
)


class Startup:
    """The part."""

    def __init__(self, place: Place, options: Options) -> None:
        self._place, self._seed, self._rounds = place, options.seed, options.rounds or ROUNDS
        self._measured: startup.Measured | None = None
        self._beside = False

    def run(self, progress: Progress) -> None:
        """Measure. Raises EngineFailed; its cluster is taken away in any case."""
        spec = self._place.spec
        self._beside = any(container.is_running for container in compose.containers(spec.name).values())
        image = images.references(spec, self._place.image_sources)["postgres"]
        with tempfile.TemporaryDirectory(prefix="poolkeeper-bench-") as folder:
            self._measured = startup.measure(spec, image, Path(folder), self._rounds, progress)

    def section(self) -> Section:
        """What was measured."""
        told = self._measured
        metrics = [
            estimate.metric({"what": f.name}, "time", f.seconds, self._seed, unit="s", better="less")
            for f in (told.figures if told else ())
        ]
        return Section(
            name="startup",
            title="Start-up: how long a person waits",
            method=METHOD,
            tally=Tally(asked=self._rounds, kept=self._rounds if told else 0),
            metrics=tuple(metrics),
            goals=(self._goal(),),
            notes=(startup.work_line(told.work),) if told else (),
            charts=("time",),
        )

    def _goal(self) -> Goal:
        seconds = next((f.seconds for f in (self._measured.figures if self._measured else ()) if f.name == UP), ())
        found = None if self._beside else estimate.estimate(seconds, self._seed)
        why = f"the cluster {self._place.spec.name} was running beside it" if self._beside else "it was not run"
        return Goal(sentence="`up` from nothing", limit=UP_GOAL, is_least=False, unit="s", estimate=found,
                    reason="" if found else why)  # fmt: skip


def make(place: Place, options: Options) -> Startup:
    """The part."""
    return Startup(place, options)
