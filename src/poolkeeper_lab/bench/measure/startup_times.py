"""The waiting times of a user: `up` from nothing, `up` again, `status`, and the suite.

Each round starts and removes a cluster of its own name, network and ports, with the commands that a user types, the
interpreter included. The yardstick is one `initdb` in a container of the same image in the same round. Machines differ
and are noisy, so the ratio to the yardstick is more comparable than the seconds.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

from poolkeeper.core import errors
from poolkeeper.core.progress import Progress
from poolkeeper.model.spec import ClusterSpec
from poolkeeper.system import process
from poolkeeper_lab.bench.measure import busy, cpu

NAME = "bench"
SUBNET = IPv4Network("10.213.77.0/24")
PORT_SHIFT = 20000
GOALS = {"up, from nothing": 10.0, "up, already up": 1.5, "status": 1.0, "the suite": 12.0}  # seconds
YARDSTICK = "initdb in a container"


def bench_document(spec: ClusterSpec) -> dict[str, Any]:
    """Return the declared cluster under the benchmark's own name, network and ports; all else is as in `spec`."""
    document = spec.model_dump(mode="json")
    offset = int(SUBNET.network_address) - int(spec.network.subnet.network_address)
    document["name"] = NAME
    document["network"] = {"subnet": str(SUBNET), "bind_address": "127.0.0.1"}
    single = (document["haproxy"], document["keeper"])
    pooled = [endpoint for endpoint in document["endpoints"].values() if "address" in endpoint]
    for owner in (*document["nodes"], *document["etcd"]["members"], *pooled, *single):
        owner["address"] = str(IPv4Address(int(IPv4Address(owner["address"])) + offset))
    for owner in (*document["nodes"], *document["endpoints"].values(), document["keeper"]):
        owner["port"] += PORT_SHIFT if owner["port"] else 0
    document["haproxy"]["stats_port"] += PORT_SHIFT
    return document


def to_toml(document: dict[str, Any], prefix: str = "") -> str:
    """Return plain data as TOML; JSON's strings, numbers and booleans are valid TOML."""
    tables = {key: value for key, value in document.items() if isinstance(value, dict)}
    arrays = {key: v for key, v in document.items() if isinstance(v, list) and v and isinstance(v[0], dict)}
    lines = [f"{k} = {json.dumps(v)}" for k, v in document.items() if k not in tables and k not in arrays]
    text = "\n".join(lines) + "\n"
    for key, value in tables.items():
        text += f"\n[{prefix}{key}]\n" + to_toml(value, f"{prefix}{key}.")
    for key, items in arrays.items():
        text += "".join(f"\n[[{prefix}{key}]]\n" + to_toml(item, f"{prefix}{key}.") for item in items)
    return text


@dataclass(frozen=True)
class Measured:
    """The seconds of each round, by the measured command (GOALS and YARDSTICK).

    `work` is the CPU time of a start from nothing: no machine with as many cores is faster than this work permits.
    """

    seconds: dict[str, tuple[float, ...]]
    work: cpu.CpuSummary


def measure(spec: ClusterSpec, image: str, folder: Path, rounds: int, progress: Progress) -> Measured:
    """Run every command `rounds` times in a scratch `folder`.

    Raises:
        EngineFailed: if a command fails.
    """
    file = folder / "cluster.toml"
    file.write_text(to_toml(bench_document(spec)), encoding="utf-8")
    times: dict[str, list[float]] = {name: [] for name in (*GOALS, YARDSTICK)}
    costs: list[cpu.Cost] = []
    try:
        for number in range(1, rounds + 1):
            with progress.step(f"round {number} of {rounds}"):
                costs.append(_round(file, image, times))
    finally:
        _command(file, "down", "--purge")
    seconds = {name: tuple(rounds) for name, rounds in times.items()}
    return Measured(seconds, cpu.summary(costs, busy.cores()))


def _round(file: Path, image: str, times: dict[str, list[float]]) -> cpu.Cost:
    _command(file, "down")
    initdb = ["docker", "run", "--rm", "--user", "postgres", "--network", "none", "--entrypoint", "initdb"]
    times[YARDSTICK].append(_timed(lambda: process.check([*initdb, image, "--pgdata", "/tmp/yardstick"])))
    before = cpu.of_machine()
    times["up, from nothing"].append(_timed(lambda: _command(file, "up")))
    cost = cpu.Cost(cpu.of_machine() - before, cpu.of_cluster(NAME))
    times["up, already up"].append(_timed(lambda: _command(file, "up")))
    times["status"].append(_timed(lambda: _command(file, "status")))
    reports = str(file.parent / "reports")
    times["the suite"].append(_timed(lambda: _command(file, "test", "--reports", reports)))
    return cost


def _command(file: Path, *words: str) -> None:
    done = process.run([sys.executable, "-m", "poolkeeper.cli.main", "--file", str(file), *words])
    if not done.ok:
        raise errors.EngineFailed(f"poolkeeper {' '.join(words)} ended with {done.code}", detail=done.output)


def _timed(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def work_line(work: cpu.CpuSummary) -> str:
    """Describe the CPU work of a start from nothing, for people."""
    dearest = sorted(work.containers.items(), key=lambda pair: -pair[1])
    parts = ", ".join(f"{name} {seconds:.1f}" for name, seconds in dearest)
    return (
        f"`up` from nothing is {work.machine:.1f} s of CPU work ({parts}; the engine, the command and others "
        f"{work.rest:.1f}): on {work.cores} cores it takes {work.least_seconds:.1f} s even if none of them ever waits"
    )
