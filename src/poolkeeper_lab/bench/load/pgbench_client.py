"""The container that runs pgbench: from a node's own image, in the cluster's network, with the least privileges.

Invariant: it has a label of this cluster's bench. The next run removes the one that a killed run left, and it ends
automatically after LIFE. It receives the password on standard input and keeps it in a file of mode 0600 in its memory,
never in an argument.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from ipaddress import IPv4Address
from itertools import count

from poolkeeper.cluster.handle import Cluster
from poolkeeper.core import errors, interrupts
from poolkeeper.model.spec import ClusterSpec
from poolkeeper.system import compose, process
from poolkeeper_lab.bench.load import pgbench

LABEL = "poolkeeper.bench"  # its value is the cluster's name
ROLE = "poolkeeper.bench.role"
LIFE = 6 * 3600  # seconds
NAME = "bench-client"
_USER = "65534"  # the unprivileged user
_PASSWORDS = f"{pgbench.FOLDER}/pgpass"
_MARGIN = 90.0  # seconds beyond a measurement: connecting, waiting at an endpoint, the last transaction


@dataclass(frozen=True)
class PgbenchClient:
    """A running container. `pid`: the host process id of its first process."""

    container: str
    pid: int

    def run(self, argv: Sequence[str], seconds: float) -> str:
        """Run pgbench, and return its output.

        Raises:
            EngineFailed: with pgbench's first error message.
        """
        environment = ["--env", f"PGPASSFILE={_PASSWORDS}", "--env", "PGCONNECT_TIMEOUT=60"]
        done = process.run(["docker", "exec", *environment, self.container, *argv], timeout=seconds + _MARGIN)
        if not done.ok:
            self.take_log()
            raise errors.EngineFailed(f"pgbench: {pgbench.complaint(done.stderr)}", detail=done.stderr)
        return done.stdout

    def take_log(self) -> str:
        """Return the logged transactions, and remove the log files."""
        files = f"{pgbench.LOG}.*"
        return self._shell(f"for f in {files}; do [ -f $f ] && cat $f; done; rm -f {files}")

    def write(self, name: str, text: str) -> None:
        """Write a file into the container's memory."""
        self._shell(f"umask 077; mkdir -p {pgbench.FOLDER}; cat > {pgbench.FOLDER}/{name}", text)

    def _shell(self, command: str, stdin: str | None = None) -> str:
        return compose.execute(self.container, ["sh", "-c", command], stdin=stdin)


@contextmanager
def running(cluster: Cluster, primary: str) -> Iterator[PgbenchClient]:
    """Run the container for the length of the block.

    Raises:
        EngineFailed: if the container cannot be started.
    """
    spec, passwords = cluster.spec, cluster.with_passwords().passwords
    name = f"{spec.project}-{NAME}"
    sweep(spec.name)
    try:
        with interrupts.signals_blocked():
            words = start(spec.name, name, (spec.project, last_free_address(spec)), _image(cluster, primary))
            process.check(words, what="docker run")
        pid = int(process.check(["docker", "inspect", "--format", "{{.State.Pid}}", name]))
        client = PgbenchClient(name, pid)
        client.write("pgpass", pgbench.password_file(passwords["app"]))
        for script in pgbench.SCRIPTS:
            client.write(
                script,
                resources.files("poolkeeper_lab.bench.load").joinpath("scripts", script).read_text(encoding="utf-8"),
            )
        yield client
    finally:
        with interrupts.signals_blocked():
            sweep(spec.name)


def last_free_address(spec: ClusterSpec) -> str:
    """Return the highest address of the cluster's network that is not declared.

    The engine itself would choose the lowest one, which an added node needs.
    """
    subnet, taken = spec.network.subnet, set(spec.addresses().values())
    highest = int(subnet.broadcast_address) - 1
    free = (address for number in count() if (address := IPv4Address(highest - number)) not in taken)
    return str(next(free))


def start(label: str, name: str, where: tuple[str, str], image: str) -> list[str]:
    """Return the command line that starts it at (network, address); it can only open connections."""
    network, address = where
    return [
        "docker", "run", "--detach", "--rm", "--pull", "never", "--name", name, "--network", network, "--ip", address,
        "--user", _USER, "--label", f"{LABEL}={label}", "--label", f"{ROLE}=client",
        "--read-only", "--tmpfs", "/tmp:size=256m", "--cap-drop", "ALL",
        "--security-opt", "no-new-privileges", "--no-healthcheck", "--entrypoint", "sleep", image, str(LIFE),
    ]  # fmt: skip


def _image(cluster: Cluster, primary: str) -> str:
    """Return the image of the running primary."""
    container = cluster.container(primary)
    return process.check(["docker", "inspect", "--format", "{{.Config.Image}}", container]).strip()


def sweep(cluster: str) -> None:
    """Remove the client containers of this run and of former ones.

    Raises:
        EngineFailed: if the engine does not answer.
    """
    filters = ["--filter", f"label={LABEL}={cluster}", "--filter", f"label={ROLE}=client"]
    if ids := process.check(["docker", "ps", "-aq", *filters]).split():
        process.check(["docker", "rm", "--force", *ids], what="docker rm")
