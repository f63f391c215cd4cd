"""Docker and Compose through their command line, for the objects of one cluster only.

Invariant: every object is found by the label `poolkeeper.cluster` or by the Compose project's name.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from poolkeeper.core import errors
from poolkeeper.model.observed import Container
from poolkeeper.system import process

CLUSTER = "poolkeeper.cluster"
SERVICE = "poolkeeper.service"
DEFINITION = "poolkeeper.definition"


@dataclass(frozen=True)
class Project:
    """A Compose project: its name, its cluster's name, and its file."""

    name: str
    cluster: str
    file: Path

    def argv(self, *words: str) -> list[str]:
        """Return a Compose command line."""
        return ["docker", "compose", "--progress", "plain", "-p", self.name, "-f", str(self.file), *words]


def up(project: Project, services: Sequence[str], *, recreate: bool = False) -> None:
    """Create and start services; `recreate` creates them again even if nothing changed."""
    flags = ["--force-recreate"] if recreate else []
    argv = project.argv("up", "-d", "--no-deps", "--no-build", "--pull", "never", *flags, *services)
    _run(argv, f"docker compose up {' '.join(services)}")


def create(project: Project) -> None:
    """Create every container that does not exist yet, without starting it."""
    _run(project.argv("create", "--no-build", "--pull", "never", "--no-recreate"), "docker compose create")


def start(names: Sequence[str]) -> None:
    """Start existing containers in this order; a running container stays as it is."""
    _run(["docker", "start", *names], f"docker start {' '.join(names)}")


def stop_all(cluster: str, order: Sequence[Sequence[str]], seconds: int) -> None:
    """Stop the cluster's containers, one group of services after the other.

    The engine kills a container that does not end within `seconds`.
    """
    known = containers(cluster)
    rest = [service for service in known if not any(service in group for group in order)]
    for group in (*order, rest):
        names = [known[service].name for service in group if service in known]
        paused = [c.name for c in known.values() if c.name in names and c.state == "paused"]
        for name in paused:
            unpause(name)
        if names:
            _run(["docker", "stop", "--time", str(seconds), *names], "docker stop")


def unpause(container: str) -> None:
    """Unpause a paused container."""
    _run(["docker", "unpause", container], f"docker unpause {container}")


def restart(container: str) -> None:
    """Stop and start one container."""
    _run(["docker", "restart", container], f"docker restart {container}")


def signal(container: str, name: str) -> None:
    """Send a signal to a container's first process.

    The signal is sent from inside the container. After a `docker kill` with any signal, the engine considers the
    container manually stopped (`HasBeenManuallyStopped` in moby's daemon/kill.go). It then does not restart the
    container after a crash.
    """
    _run(["docker", "exec", container, "sh", "-c", f"kill -{name} 1"], f"kill -{name} 1 in {container}")


def execute(container: str, argv: Sequence[str], *, stdin: str | None = None) -> str:
    """Run a program inside a container; return its output.

    Raises:
        EngineFailed: with the program's output, if it fails.
    """
    flags = ["-i"] if stdin is not None else []
    return process.check(
        ["docker", "exec", *flags, container, *argv], stdin=stdin, timeout=60, what=f"{argv[0]} in {container}"
    )


def containers(cluster: str, names: Sequence[str] = ()) -> dict[str, Container]:
    """Return every container of the cluster, running or not, by its service.

    `names` are containers that probably exist: they are inspected while the engine still lists the others.
    """
    found = [_container(document) for document in inspect(cluster, names)]
    return {container.service: container for container in found}


def inspect(cluster: str, names: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Return the engine's full description of every container of the cluster."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        listing = ["docker", "ps", "-aq", "--no-trunc", "--filter", f"label={CLUSTER}={cluster}"]
        listed = pool.submit(process.check, listing)
        guessed = _inspect(names)
        ids = listed.result().split()
    known = {d["Id"]: d for d in guessed if (d["Config"]["Labels"] or {}).get(CLUSTER) == cluster}
    return [*known.values(), *_inspect([identity for identity in ids if identity not in known])]


def _inspect(names: Sequence[str]) -> list[dict[str, Any]]:
    """Return the existing containers: the engine prints them, and exits with 1 if another does not exist."""
    if not names:
        return []
    done = process.run(["docker", "inspect", "--type", "container", *names])
    if not done.ok and "No such container" not in done.stderr:
        raise errors.EngineFailed("docker inspect failed", detail=done.output)
    documents: list[dict[str, Any]] = json.loads(done.stdout or "[]")
    return documents


def _container(document: dict[str, Any]) -> Container:
    state, labels = document["State"], document["Config"]["Labels"]
    return Container(
        service=labels.get(SERVICE, ""),
        name=document["Name"].lstrip("/"),
        identity=document["Id"],
        state=state["Status"],
        health=state.get("Health", {}).get("Status", "none"),
        image=document["Config"]["Image"],
        definition=labels.get(DEFINITION, ""),
        started_at=state["StartedAt"],
        exit_code=state["ExitCode"],
        restarts=document["RestartCount"],
        oom_killed=state["OOMKilled"],
    )


def memory_bytes(names: Sequence[str]) -> dict[str, str]:
    """Return the memory in use by each running container, as the engine prints it."""
    if not names:
        return {}
    done = process.check(["docker", "stats", "--no-stream", "--format", "{{.Name}}\t{{.MemUsage}}", *names])
    pairs = (line.split("\t") for line in done.splitlines())
    return {name: usage.split("/")[0].strip() for name, usage in pairs}


def tail(container: str, lines: int = 20) -> str:
    """Return the last log lines of a container, from both channels."""
    done = process.run(["docker", "logs", "--tail", str(lines), container])
    return done.output


def follow_logs(container: str, *, follow: bool, since: str | None, tail_lines: int | None) -> Iterator[str]:
    """Return the log lines of a container, each after its timestamp (RFC 3339) and a space."""
    flags = ["--timestamps"]
    flags += ["--follow"] if follow else []
    flags += ["--since", since] if since else []
    flags += ["--tail", str(tail_lines)] if tail_lines is not None else []
    return process.stream(["docker", "logs", *flags, container])


def networks() -> dict[str, tuple[str, tuple[str, ...]]]:
    """Return every network of the engine: name → (cluster label or "", subnets)."""
    ids = process.check(["docker", "network", "ls", "-q"]).split()
    documents = json.loads(process.check(["docker", "network", "inspect", *ids])) if ids else []
    return {
        document["Name"]: (
            (document.get("Labels") or {}).get(CLUSTER, ""),
            tuple(config["Subnet"] for config in document["IPAM"]["Config"] or [] if "Subnet" in config),
        )
        for document in documents
    }


@dataclass(frozen=True)
class Removed:
    """The numbers of objects that `remove_all` removed."""

    containers: int
    networks: int
    volumes: int


def remove_all(cluster: str, *, volumes: bool = True) -> Removed:
    """Remove every container and network of the cluster, and its volumes; no Compose file is needed."""
    label = f"label={CLUSTER}={cluster}"
    ids = process.check(["docker", "ps", "-aq", "--filter", label]).split()
    if ids:
        process.run(["docker", "unpause", *ids])  # a paused container cannot be removed by every engine
        process.check(["docker", "rm", "--force", "--volumes", *ids], what="docker rm")
    nets = process.check(["docker", "network", "ls", "-q", "--filter", label]).split()
    if nets:
        process.check(["docker", "network", "rm", *nets], what="docker network rm")
    names = process.check(["docker", "volume", "ls", "-q", "--filter", label]).split() if volumes else []
    if names:
        process.check(["docker", "volume", "rm", "--force", *names], what="docker volume rm")
    return Removed(len(ids), len(nets), len(names))


def remove_service(cluster: str, service: str, *, volume: str | None) -> None:
    """Remove one service's container, and its volume if named."""
    label = ["--filter", f"label={CLUSTER}={cluster}", "--filter", f"label={SERVICE}={service}"]
    ids = process.check(["docker", "ps", "-aq", *label]).split()
    if ids:
        process.check(["docker", "rm", "--force", *ids], what="docker rm")
    if volume:
        process.check(["docker", "volume", "rm", "--force", volume], what="docker volume rm")


def volumes(cluster: str) -> tuple[str, ...]:
    """Return the names of the cluster's volumes."""
    return tuple(process.check(["docker", "volume", "ls", "-q", "--filter", f"label={CLUSTER}={cluster}"]).split())


def _run(argv: Sequence[str], what: str) -> None:
    done = process.run(argv, timeout=300)
    if not done.ok:
        raise errors.EngineFailed(f"{what} ended with {done.code}", detail="\n".join(done.output.splitlines()[-15:]))
