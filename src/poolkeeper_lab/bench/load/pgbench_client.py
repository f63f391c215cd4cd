"""The container that pgbench runs in: of a node's own image, in the cluster's network, with nothing but what it needs.

Invariant: it bears a label of this cluster's bench; one that a killed run left is removed by the next, and ends by
itself after LIFE. The password reaches it by standard input and is in a file of mode 0600 in its memory, never in an
argument.
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
_USER = "65534"  # nobody
_PASSWORDS = f"{pgbench.FOLDER}/pgpass"
_MARGIN = 90.0  # seconds beyond a measurement: connecting, waiting at an endpoint, the last transaction


@dataclass(frozen=True)
class PgbenchClient:
    """A container that runs. `pid`: its first process on the host."""

    container: str
    pid: int

    def run(self, argv: Sequence[str], seconds: float) -> str:
        """Run pgbench; what it printed. Raises EngineFailed with its first complaint."""
        environment = ["--env", f"PGPASSFILE={_PASSWORDS}", "--env", "PGCONNECT_TIMEOUT=60"]
        done = process.run(["docker", "exec", *environment, self.container, *argv], timeout=seconds + _MARGIN)
        if not done.ok:
            self.take_log()
            raise errors.EngineFailed(f"pgbench: {pgbench.complaint(done.stderr)}", detail=done.stderr)
        return done.stdout

    def take_log(self) -> str:
        """The logged transactions; the files are gone then."""
        files = f"{pgbench.LOG}.*"
        return self._shell(f"for f in {files}; do [ -f $f ] && cat $f; done; rm -f {files}")

    def write(self, name: str, text: str) -> None:
        """Put a file into the container's memory."""
        self._shell(f"umask 077; mkdir -p {pgbench.FOLDER}; cat > {pgbench.FOLDER}/{name}", text)

    def _shell(self, command: str, stdin: str | None = None) -> str:
        return compose.execute(self.container, ["sh", "-c", command], stdin=stdin)


@contextmanager
def running(cluster: Cluster, primary: str) -> Iterator[PgbenchClient]:
    """The container for the length of the block. Raises EngineFailed."""
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
            client.write(script, resources.files("poolkeeper_lab.bench.load").joinpath("scripts", script).read_text())
        yield client
    finally:
        with interrupts.signals_blocked():
            sweep(spec.name)


def last_free_address(spec: ClusterSpec) -> str:
    """The highest address of the cluster's network that nobody is declared to have.

    One that the engine chose would be the lowest, which is that of a node to be added.
    """
    subnet, taken = spec.network.subnet, set(spec.addresses().values())
    highest = int(subnet.broadcast_address) - 1
    free = (address for number in count() if (address := IPv4Address(highest - number)) not in taken)
    return str(next(free))


def start(label: str, name: str, where: tuple[str, str], image: str) -> list[str]:
    """The command line that starts it, at a network and an address; it may do nothing but open connections."""
    network, address = where
    return [
        "docker", "run", "--detach", "--rm", "--pull", "never", "--name", name, "--network", network, "--ip", address,
        "--user", _USER, "--label", f"{LABEL}={label}", "--label", f"{ROLE}=client",
        "--read-only", "--tmpfs", "/tmp:size=256m", "--cap-drop", "ALL",
        "--security-opt", "no-new-privileges", "--no-healthcheck", "--entrypoint", "sleep", image, str(LIFE),
    ]  # fmt: skip


def _image(cluster: Cluster, primary: str) -> str:
    """Of the primary as it runs."""
    container = cluster.container(primary)
    return process.check(["docker", "inspect", "--format", "{{.Config.Image}}", container]).strip()


def sweep(cluster: str) -> None:
    """Remove the containers of this or a former run. Raises EngineFailed."""
    filters = ["--filter", f"label={LABEL}={cluster}", "--filter", f"label={ROLE}=client"]
    if ids := process.check(["docker", "ps", "-aq", *filters]).split():
        process.check(["docker", "rm", "--force", *ids], what="docker rm")
