"""The environment of a run: the machine from /proc, the versions from the servers or from their packages.

Invariant: a value that is not available is "unknown"; nothing here fails because a server does not answer.
"""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path
from typing import Any

from poolkeeper import __version__
from poolkeeper.cluster import snapshot
from poolkeeper.cluster.handle import Cluster
from poolkeeper.core import errors, interrupts
from poolkeeper.model.observed import versions
from poolkeeper.system import compose, images, process, state
from poolkeeper_lab.bench.load.pgbench_client import LABEL
from poolkeeper_lab.bench.measure import busy, cpu, meter
from poolkeeper_lab.bench.report.bench_model import BenchMachine

UNKNOWN = "unknown"
PACKAGES = {  # component → the image that has it, and its package there
    "PostgreSQL": ("postgres", "postgresql-{major}"),
    "Patroni": ("postgres", "patroni"),
    "Pgpool-II": ("pgpool", "pgpool2"),
    "HAProxy": ("haproxy", "haproxy"),
    "etcd": ("etcd", "etcd-server"),
}
_DECLARED = (
    "patroni",
    "replication",
    "postgresql",
    "pgpool",
    "endpoints",
    "haproxy",
    "keeper",
)  # tables of cluster.toml
FOREIGN_SECONDS = 2.0  # how long the foreign load is measured before the first round


def describe(proc: Path = cpu.PROC, foreign: float | None = None) -> BenchMachine:
    """Return the processor, its usable cores, the memory (MB, 10^6 bytes) and the kernel."""
    kilobytes = int(_value(proc / "meminfo", "MemTotal").split()[0] or 0)
    model = _value(proc / "cpuinfo", "model name")
    return BenchMachine(cpu=model, cores=busy.cores(), memory_mb=round(kilobytes * 1.024e-3), kernel=os.uname().release,
                   foreign=foreign)  # fmt: skip


def _value(file: Path, key: str) -> str:
    """Return the value of the first line "key : value"; if there is none, "0" for MemTotal, else unknown."""
    for line in file.read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == key:
            return value.strip()
    return "0" if key == "MemTotal" else UNKNOWN


def container_pids(cluster: str) -> dict[str, int]:
    """Map each running service to the host process id of its container's first process.

    Raises:
        EngineFailed: if the engine does not answer.
    """
    found = {}
    for document in compose.inspect(cluster):
        service = str(document["Config"]["Labels"].get(compose.SERVICE, ""))
        if document["State"]["Pid"]:
            found[service] = int(document["State"]["Pid"])
    return found


def foreign_now(cluster: str, seconds: float = FOREIGN_SECONDS) -> float:
    """Measure for `seconds` which share of the machine neither the cluster nor this program uses."""
    watch = meter.Meter(container_pids(cluster))
    before = watch.read()
    time.sleep(seconds)  # a measured time, not a wait for something
    return watch.since(before).foreign


def settings_of(cluster: Cluster) -> dict[str, str]:
    """Return the declared values by dotted key, and a digest of each rendered file that was last applied."""
    declared = cluster.spec.model_dump(mode="json", include=set(_DECLARED))
    files = state.read_applied(cluster.folder)
    applied = {f"file {path}": _digest(text) for path, text in files.items() if path != state.FORMER.partition("/")[2]}
    return {**_flat(declared), **applied}


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _flat(tables: dict[str, Any], prefix: str = "") -> dict[str, str]:
    found: dict[str, str] = {}
    for key, value in tables.items():
        found |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": str(value)}
    return found


def versions_of(cluster: Cluster) -> dict[str, str]:
    """Map each component to its version, as the running cluster reports it, else from the packages of its images."""
    engine = process.run(["docker", "version", "--format", "{{.Server.Version}}"], timeout=30)
    found = {"Poolkeeper": __version__, "Docker": engine.stdout.strip() or UNKNOWN}
    try:
        reported = versions(interrupts.run(snapshot.take_snapshot(cluster.with_passwords())))
    except errors.ClusterNotUp:
        reported = dict.fromkeys(PACKAGES, UNKNOWN)
    for name, version in reported.items():
        found[name] = _packaged(cluster, name) if version == UNKNOWN else version
    return found


def _packaged(cluster: Cluster, component: str) -> str:
    role, package = PACKAGES[component]
    package = package.format(major=cluster.spec.postgresql.version)
    once = ["docker", "run", "--rm", "--pull", "never", "--network", "none", "--label", f"{LABEL}={cluster.spec.name}"]
    try:
        image = images.references(cluster.spec, cluster.image_sources)[role]
        query = ["--entrypoint", "dpkg-query", image, "-W", "-f", "${Version}", package]
        done = process.run([*once, *query], timeout=30)
    except errors.PoolkeeperError:
        return UNKNOWN
    return done.stdout.strip() if done.ok and done.stdout.strip() else UNKNOWN
