"""A real cluster for the end-to-end tests of both packages: `up` starts it once, and `down` removes it at the end.

It has the default names and ports, in a temporary folder. If a cluster of that name exists already, the tests stop and
do not touch it, unless a test run that was cut off left it. The evidence of a failed test is kept in artifacts/e2e/.
tests/conftest.py loads this module as a plugin.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from poolkeeper.cluster import snapshot
from poolkeeper.cluster.handle import Cluster
from poolkeeper.decide import health
from poolkeeper.model import source
from poolkeeper.model.assessment import Assessment, Level
from poolkeeper.model.target import Target
from poolkeeper.render import client_files
from poolkeeper.suite import test
from poolkeeper.system import state
from tests import leftovers

ROOT = Path(__file__).resolve().parents[1]
ARTIFACTS = ROOT / "artifacts" / "e2e"
PGPOOL_SUITE = "POOLKEEPER_TEST_PGPOOL_SUITE"  # runs the tests with the Pgpool-II of another suite, such as trixie


@dataclass(frozen=True)
class ClusterUnderTest:
    """A cluster that a test drives as a user does: by the command line and by Docker."""

    folder: Path

    @property
    def handle(self) -> Cluster:
        """The declared cluster, without its passwords."""
        text = (self.folder / "cluster.toml").read_text()
        return Cluster(source.load(text), state.State(self.folder / ".poolkeeper"))

    @property
    def opened(self) -> Cluster:
        """The declared cluster, with its passwords."""
        return self.handle.with_passwords()

    def argv(self, *words: str) -> list[str]:
        """Return a poolkeeper command line for this cluster."""
        return [sys.executable, "-m", "poolkeeper.cli.main", "--file", str(self.folder / "cluster.toml"), *words]

    def environment(self) -> dict[str, str]:
        """Return the environment of such a command."""
        return {**os.environ, "PYTHONPATH": str(ROOT / "src")}

    def run(
        self,
        *words: str,
        stdin: str | None = None,
        timeout: float = 240,
        shell: Mapping[str, str] | None = None,
        umask: int = -1,
    ) -> subprocess.CompletedProcess[str]:
        """Run a poolkeeper command to its end, whatever its exit code; `shell` has more variables."""
        return subprocess.run(
            self.argv(*words),
            input=stdin if stdin is not None else "",
            capture_output=True,
            text=True,
            timeout=timeout,
            cwd=self.folder,
            env=self.environment() | dict(shell or {}),
            umask=umask,
            check=False,
        )

    def ok(self, *words: str, stdin: str | None = None) -> str:
        """Run a poolkeeper command that must succeed; return its standard output."""
        done = self.run(*words, stdin=stdin)
        assert done.returncode == 0, f"poolkeeper {' '.join(words)} ended with {done.returncode}\n{done.stderr}"
        return done.stdout

    def spawn(self, *words: str) -> subprocess.Popen[str]:
        """Start a poolkeeper command in its own process group, so that a test can interrupt it."""
        return subprocess.Popen(
            self.argv(*words),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=self.folder,
            env=self.environment(),
            start_new_session=True,
        )

    def docker(self, *words: str) -> str:
        """Run docker and return its output; fail the test if docker fails."""
        done = subprocess.run(["docker", *words], capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, f"docker {' '.join(words)}: {done.stderr}"
        return done.stdout.strip()

    def container(self, service: str) -> str:
        """Return a service's container."""
        return self.handle.container(service)

    def secret(self, name: str) -> str:
        """Return a generated password."""
        return self.opened.passwords[name]

    def dsn(self, endpoint: str, role: str = "app", dbname: str | None = None) -> str:
        """Return a connection string: endpoint is rw, ro, balanced, node1, …; role is a key of [roles]."""
        spec = self.handle.spec
        port, user = client_files.endpoints(spec)[endpoint], str(getattr(spec.roles, role))
        database = dbname or (spec.roles.app_database if role == "app" else "postgres")
        host, password = client_files.client_host(spec), self.secret(role)
        return f"host={host} port={port} user={user} password={password} dbname={database}"

    def target(self) -> Target:
        """Return the target for the validation suite."""
        return test.own_target(self.opened)

    def assess(self) -> Assessment:
        """Observe the cluster once, and assess it."""
        return health.assess(self.handle.spec, asyncio.run(snapshot.take_snapshot(self.opened)))

    def primary(self) -> str:
        """Return the primary's name."""
        found = self.assess().primary
        assert found, "no primary"
        return found

    def wait_healthy(self, seconds: float = 120) -> Assessment:
        """Wait until all health checks pass; return the assessment."""
        return self.wait_level(lambda a: a.level is Level.HEALTHY, seconds)

    def wait_level(self, wanted: Callable[[Assessment], bool], seconds: float = 120) -> Assessment:
        """Wait until the assessment is as wanted, and return it."""
        deadline = time.monotonic() + seconds
        while not wanted(assessment := self.assess()):
            findings = "\n".join(map(str, assessment.findings))
            assert time.monotonic() < deadline, f"not so within {seconds} s: {assessment.level.name}\n{findings}"
        return assessment

    def paused(self) -> str:
        """Return the ids of the cluster's paused containers, one a line."""
        return self.docker("ps", "-q", "--filter", "label=poolkeeper.cluster=poolkeeper", "--filter", "status=paused")

    def wait_paused(self, child: subprocess.Popen[str], seconds: float = 120) -> None:
        """Wait until a command has paused a container, even if only for a moment."""
        deadline = time.monotonic() + seconds
        while not self.paused():
            assert child.poll() is None, f"it ended with {child.returncode}, and nothing was frozen"
            assert time.monotonic() < deadline, f"nothing was frozen within {seconds} s"

    def keep_evidence(self, name: str) -> Path:
        """Keep status, logs and rendered files of a failed test; return their folder."""
        folder = ARTIFACTS / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for command in (("status", "--json"), ("ps", "--json"), ("logs",)):
            done = self.run(*command)
            (folder / f"{command[0]}.txt").write_text(done.stdout + done.stderr)
        if self.handle.folder.rendered.exists():
            shutil.copytree(self.handle.folder.rendered, folder / "rendered")
        return folder


def make_folder(path: Path, edit: Callable[[str], str] = lambda text: text) -> ClusterUnderTest:
    """Create a folder with the project's own cluster.toml, edited, and with the Pgpool-II that PGPOOL_SUITE names."""
    path.mkdir(parents=True, exist_ok=True)
    text = (ROOT / "cluster.toml").read_text()
    if suite := os.environ.get(PGPOOL_SUITE):
        declared = 'pgpool_suite = "forky"'
        assert declared in text
        text = text.replace(declared, f'pgpool_suite = "{suite}"')
    (path / "cluster.toml").write_text(edit(text))
    return ClusterUnderTest(path)


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterUnderTest]:
    """Provide the running cluster that all tests share; each test leaves it healthy."""
    made = make_folder(tmp_path_factory.mktemp("cluster"))
    leftovers.remove()
    running = made.docker("ps", "-a", "--filter", "label=poolkeeper.cluster=poolkeeper", "--format", "{{.Names}}")
    if running:
        pytest.exit(f"a cluster of the default name exists ({running.split()[0]}, …): make pgpool-down first", 1)
    try:
        made.ok("up")
        yield made
    finally:
        made.ok("down", "--purge")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Keep the evidence of a failed test that used the cluster."""
    outcome = yield
    report = outcome.get_result()  # type: ignore[attr-defined]
    used = getattr(item, "funcargs", {}).get("cluster")
    if report.when == "call" and report.failed and isinstance(used, ClusterUnderTest):
        kept = used.keep_evidence(item.name)
        report.sections.append(("evidence", f"logs, status and rendered files are in {kept.relative_to(ROOT)}"))


def interrupt(child: subprocess.Popen[str], timeout: float = 60) -> int:
    """Send SIGINT to the complete process group, as Ctrl-C does; return the exit code."""
    os.killpg(child.pid, signal.SIGINT)
    return child.wait(timeout=timeout)


def load_json(text: str) -> dict[str, object]:
    """Parse the JSON object that a command printed."""
    document = json.loads(text)
    assert isinstance(document, dict)
    return document
