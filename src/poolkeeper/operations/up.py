"""`up`: bring the declared cluster up: prepare, plan, apply the plan, and wait until all health checks pass.

Invariant: whatever state an earlier run left (also one that was interrupted), the same call completes it; on a healthy
cluster that is as declared it changes nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

from poolkeeper.cluster import apply, snapshot, startup
from poolkeeper.cluster.handle import Cluster, write_pgpass
from poolkeeper.core import errors
from poolkeeper.core.progress import Progress
from poolkeeper.decide import health, planning
from poolkeeper.model.assessment import Assessment, Finding
from poolkeeper.model.observed import Snapshot
from poolkeeper.model.plan import Plan
from poolkeeper.model.spec import ClusterSpec
from poolkeeper.operations import engine, operation
from poolkeeper.render import compose_file, patroni_config, pgpool_config
from poolkeeper.render.files import render
from poolkeeper.system import base_image, compose, images, preflight, state

SNAPSHOT_PAUSE = 0.2  # seconds between two snapshots: each costs every server a session while it is busy with its start
PATIENCE = 3.0  # seconds that Pgpool-II may disagree before its view is repaired: it needs about one to notice itself
PATIENCE_SILENT = 15.0  # seconds that it may give no answer before it is restarted: a start takes 1 s, 10 s under load


@dataclass(frozen=True)
class UpResult:
    """The result of `up`: the plan that it applied, the repairs after it, and the last snapshot with its assessment."""

    plan: Plan
    repairs: tuple[str, ...]
    assessment: Assessment
    snapshot: Snapshot

    @property
    def changed_nothing(self) -> bool:
        """True if the cluster was as declared, and healthy, from the start."""
        return self.plan.is_empty and not self.repairs


def up(cluster: Cluster, progress: Progress) -> UpResult:
    """Bring the declared cluster up, and return when all health checks pass.

    Raises:
        PoolkeeperError: any of them; the next call continues from the state that this one left.
    """
    engine.ensure(progress.note, cluster.folder.engine_log)
    with state.lock(cluster.folder):
        references = ensure_images(cluster, progress)
        _refuse_lost_passwords(cluster)
        state.prepare(cluster.folder)
        return asyncio.run(_up(cluster, references, progress))


def _refuse_lost_passwords(cluster: Cluster) -> None:
    """Refuse data without its passwords: new ones would not match it, and the cluster would never become healthy."""
    lost = [name for name in state.SECRET_NAMES if not (cluster.folder.secrets / name).exists()]
    if lost and compose.volumes(cluster.spec.name):
        raise errors.UnsafeChange(
            f"this cluster has data, and {cluster.folder.secrets} lacks its passwords ({', '.join(lost)})",
            hint="Put the folder back from a backup, or start over with: poolkeeper down (removes the data).",
        )


def ensure_images(cluster: Cluster, progress: Progress) -> dict[str, str]:
    """Build the images whose inputs changed; return every role's image reference.

    Raises:
        ImageFailed: a base image or an image could not be built.
    """
    references = images.references(cluster.spec, cluster.image_sources)
    missing = images.missing(references)
    if missing:
        base_name, suite = cluster.spec.images.base, cluster.spec.images.suite
        with progress.step(f"preparing the base image {base_name}"):
            base = base_image.base_image(base_name, suite, progress.note)
        with progress.step(f"building the images: {', '.join(missing)}"):
            images.build(cluster.spec, missing, base, cluster.image_sources, cluster.folder, progress.note)
            images.remove_superseded(references, cluster.spec.images.prefix)
    return references


async def _up(cluster: Cluster, references: Mapping[str, str], progress: Progress) -> UpResult:
    files = render(cluster.spec, references)
    ctx = startup.OperationContext(
        cluster.with_passwords(),
        files,
        progress,
        lambda: _ensure_pool_passwd(cluster, references["pgpool"]),
    )
    declared = desired(cluster.spec, references, files)
    seen = await _observe_running(ctx)
    actual = await apply.read_actual(ctx, seen)
    ctx = replace(ctx, restarts={name: container.restarts for name, container in actual.containers.items()})
    steps = planning.plan_up(cluster.spec, declared, actual, pgpool_config.needs_restart)
    _preflight(cluster, actual)
    write_files(cluster, files)
    if actual.former is None:
        state.record_former(cluster.folder, cluster.spec)  # before the first start: it fixes some of it for good
    if not steps.is_empty and actual.containers:
        progress.note(f"plan:\n{steps}")
    await apply.walk(steps, ctx)
    if actual.former and actual.dynamic is None:  # a stopped cluster's Patroni can be asked only now
        actual = await apply.read_actual(ctx)
        rest = planning.plan_up(cluster.spec, declared, actual, pgpool_config.needs_restart)
        await apply.walk(rest, ctx)
        steps = Plan((*steps.steps, *rest.steps))
    outcome = await _wait_healthy(ctx, steps, progress, None if steps.steps else seen)
    state.record_former(cluster.folder, cluster.spec)
    return outcome


def desired(spec: ClusterSpec, references: Mapping[str, str], files: Mapping[str, str]) -> planning.Desired:
    """Return what is declared, in the planner's form."""
    services = compose_file.document(spec, references)["services"]
    definitions = {name: service["labels"][compose_file.DEFINITION_LABEL] for name, service in services.items()}
    return planning.Desired(definitions, files, patroni_config.dynamic_config(spec))


def _preflight(cluster: Cluster, actual: planning.Actual) -> None:
    """Check the ports that no container of the cluster publishes yet, the disk, and for a first start the network."""
    spec = cluster.spec
    if ports := planning.new_ports(spec, actual):
        preflight.check_disk(cluster.folder.root)
        preflight.check_ports(spec.network.bind_address, ports)
    if not actual.containers:
        preflight.check_network(spec.network.subnet, spec.name)


def write_files(cluster: Cluster, files: Mapping[str, str]) -> None:
    """Write the rendered files, and the two files that psql reads: pgpass and pg_service.conf.

    Raises:
        ClusterNotUp: no password was generated yet.
    """
    state.write_tree(cluster.folder.rendered, files)
    write_pgpass(cluster)
    state.write(cluster.folder.root / "pg_service.conf", files["pg_service.conf"], mode=0o644)


def _ensure_pool_passwd(cluster: Cluster, image: str) -> None:
    """Write Pgpool-II's user list if it is missing: the roles of the first start, AES-encrypted."""
    if cluster.folder.pool_passwd.exists():
        return
    passwords = state.read_secrets(cluster.folder)
    users = {getattr(cluster.spec.roles, key): passwords[key] for key in ("superuser", "app", "check")}
    state.write(cluster.folder.pool_passwd, images.encrypt_passwords(image, cluster.folder, users))


async def _observe_running(ctx: startup.OperationContext) -> Snapshot | None:
    """Return a snapshot if every container runs: most likely nothing has to be done, and then one snapshot is enough.

    Return None otherwise: each component of a cluster that is down would only let its deadline pass.
    """
    containers = await snapshot.observe_containers(ctx.cluster.spec)
    all_run = all(s in containers and containers[s].is_running for s in ctx.cluster.spec.addresses())
    return await snapshot.take_snapshot(ctx.cluster, known=containers) if all_run else None


async def _wait_healthy(
    ctx: startup.OperationContext, steps: Plan, progress: Progress, seen: Snapshot | None = None
) -> UpResult:
    """Wait until all health checks pass; repair Pgpool-II's view where it does not follow in time.

    `seen` is a first snapshot that is still valid, since nothing was done after it.
    """
    spec = ctx.cluster.spec
    begin = touched = time.monotonic()
    repairs: list[str] = []
    with progress.step("waiting until all health checks pass"):
        while True:
            seen = seen or await snapshot.take_snapshot(ctx.cluster)
            assessment = health.assess(spec, seen)
            if assessment.is_healthy:
                return UpResult(plan=steps, repairs=tuple(repairs), assessment=assessment, snapshot=seen)
            await startup.raise_if_died(ctx, list(spec.addresses()), seen.containers.value or {})
            if time.monotonic() - begin > spec.timeouts.up:
                raise await _deadline(ctx, assessment)
            patience = PATIENCE if seen.pgpool.is_known else PATIENCE_SILENT
            if time.monotonic() - touched > patience and (step := await apply.repair_pgpool(ctx, seen)):
                repairs.append(str(step))
                touched = time.monotonic()
            seen = None
            await asyncio.sleep(SNAPSHOT_PAUSE)


async def _deadline(ctx: startup.OperationContext, assessment: Assessment) -> errors.DeadlinePassed:
    service = culprit(assessment.findings, list(ctx.cluster.spec.addresses()))
    log = await asyncio.to_thread(compose.tail, ctx.cluster.container(service)) if service else ""
    return errors.DeadlinePassed(
        f"the cluster is not healthy after {ctx.cluster.spec.timeouts.up} s"
        + (f"; check {ctx.cluster.container(service)} first" if service else ""),
        detail="\n".join([*(f"  {finding}" for finding in assessment.findings), *([log] if log else [])]),
        hint=f"{operation.STATUS_HINT} `poolkeeper logs SERVICE` shows its complete log; `poolkeeper up` continues.",
    )


def culprit(findings: tuple[Finding, ...], services: list[str]) -> str | None:
    """Return the first service that a finding names; None if none does."""
    return next((finding.subject for finding in findings if finding.subject in services), None)
