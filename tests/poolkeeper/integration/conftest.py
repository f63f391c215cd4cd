"""The real programs, each in a container of its own: built images, a folder as `up` creates it, and a clean end.

Every container and network has a label of this test run alone, and is removed at its end whatever happened.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests import leftovers

from poolkeeper.cluster.handle import Cluster
from poolkeeper.core.progress import Silent
from poolkeeper.decide import planning
from poolkeeper.model.spec import ClusterSpec
from poolkeeper.operations import up
from poolkeeper.render.files import render
from poolkeeper.system import compose, process, state
from poolkeeper.system import images as built

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return each role's image; missing ones are built as `up` builds them. A cut-off run's containers are removed."""
    leftovers.remove()
    folder = state.State(tmp_path_factory.mktemp("images"))
    return up.ensure_images(Cluster(ClusterSpec(), folder), Silent())


@dataclass(frozen=True)
class Bench:
    """A rendered cluster in a folder, and containers that mount its files one by one."""

    spec: ClusterSpec
    folder: state.State
    images: Mapping[str, str]
    label: str = field(default_factory=lambda: leftovers.label_of_run(os.getpid(), secrets.token_hex(4)))

    def service(self, name: str) -> dict[str, Any]:
        """Return a service of the rendered Compose file."""
        services: dict[str, dict[str, Any]] = yaml.safe_load(self.folder.compose_file.read_text())["services"]
        return services[name]

    def config(self, service: str) -> Path:
        """Return the folder that a service mounts."""
        (path, *_) = planning.files_of(self.spec, service, state.read_tree(self.folder.rendered))
        return (self.folder.rendered / path).parent

    def altered_copy(self, service: str, file: str, old: str, new: str) -> Path:
        """Return a copy of a service's folder, with another text in one file."""
        copy = self.folder.root / f"altered-{secrets.token_hex(4)}"
        shutil.copytree(self.config(service), copy)
        text = (copy / file).read_text()
        assert old in text
        (copy / file).write_text(text.replace(old, new, 1))
        return copy

    def flags(self, service: str, config: Path | None = None) -> list[str]:
        """Return the options that Compose would give its container: mounts, environment, secrets; and our label."""
        document = self.service(service)
        flags = ["--label", f"{compose.CLUSTER}={self.label}"]
        for key, value in document.get("environment", {}).items():
            flags += ["-e", f"{key}={value}"]
        for secret in document.get("secrets", []):
            flags += ["-v", f"{self.folder.secrets / secret}:/run/secrets/{secret}:ro"]
        if any("/run/pool" in volume for volume in document["volumes"]):
            flags += ["-v", f"{self.folder.pool_key.parent}:/run/pool:ro"]
        for mount in document.get("tmpfs", []):
            flags += ["--tmpfs", mount]
        return [*flags, "-v", f"{config or self.config(service)}:/etc/poolkeeper:ro"]

    def run(
        self, service: str, *words: str, config: Path | None = None, options: Sequence[str] = ()
    ) -> process.Finished:
        """Run a service's container to its end; without a network unless `options` name one."""
        network = [] if "--network" in options else ["--network", "none"]
        image = self.service(service)["image"]
        flags = self.flags(service, config)
        return process.run(["docker", "run", "--rm", *flags, *network, *options, image, *words], timeout=60)

    def start(self, service: str, *, config: Path | None = None, options: Sequence[str] = ()) -> str:
        """Start a service's container; return its name."""
        name = f"{self.label}-{service}-{secrets.token_hex(2)}"
        network = [] if "--network" in options else ["--network", "none"]
        image = self.service(service)["image"]
        flags = self.flags(service, config)
        process.check(["docker", "run", "-d", "--name", name, *flags, *network, *options, image])
        return name


@dataclass(frozen=True)
class Benches:
    """Creates benches, and removes their containers and networks."""

    root: Path
    images: Mapping[str, str]
    made: list[Bench] = field(default_factory=list)

    def make(self, spec: ClusterSpec) -> Bench:
        """Return a folder with this cluster's rendered files and fresh secrets."""
        folder = state.State(self.root / str(len(self.made)) / ".poolkeeper")
        state.prepare(folder)
        state.write_tree(folder.rendered, render(spec, self.images))
        passwords = state.read_secrets(folder)
        users = {getattr(spec.roles, key): passwords[key] for key in ("superuser", "app", "check")}
        state.write(folder.pool_passwd, built.encrypt_passwords(self.images["pgpool"], folder, users))
        self.made.append(Bench(spec, folder, self.images))
        return self.made[-1]


@pytest.fixture(scope="session")
def benches(tmp_path_factory: pytest.TempPathFactory, images: dict[str, str]) -> Iterator[Benches]:
    """Benches, removed at the end."""
    maker = Benches(tmp_path_factory.mktemp("benches"), images)
    try:
        yield maker
    finally:
        for bench in maker.made:
            compose.remove_all(bench.label)


@pytest.fixture(scope="session")
def bench(benches: Benches) -> Bench:
    """The default cluster."""
    return benches.make(ClusterSpec())
