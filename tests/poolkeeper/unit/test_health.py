"""The assessment of a snapshot: healthy only when all is known and good; each fault has its level and finding."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.poolkeeper.unit import snapshots
from tests.poolkeeper.unit.snapshots import OTHER, PRIMARY, SPEC, STANDBY

from poolkeeper.decide import health
from poolkeeper.model import proxies
from poolkeeper.model.assessment import FindingKind, Level
from poolkeeper.model.observed import PatroniView, Seen, Slot, Snapshot, WalSender
from poolkeeper.model.spec import ClusterSpec

HEALTHY = snapshots.healthy()
SPECS = st.builds(snapshots.spec_of, nodes=st.integers(2, 5), members=st.sampled_from([1, 3, 5]))


@dataclass(frozen=True)
class Fault:
    """A snapshot with one fault, its level, and one finding that it must have."""

    seen: Snapshot
    level: Level
    kind: FindingKind
    subject: str
    part: str  # of the finding's message


def _primary(**changes: object) -> Snapshot:
    return snapshots.edit_postgres(HEALTHY, PRIMARY, **changes)


def _sender(name: str, state: str = "streaming") -> WalSender:
    return WalSender(name, state, "quorum", 0)


def _slot(name: str, *, active: bool = True, kind: str = "physical") -> Slot:
    return Slot(name, kind, active=active, retained_bytes=0)


def _container(service: str, **changes: object) -> Snapshot:
    return snapshots.edit_containers(HEALTHY, {service: changes})


def _gone(service: str) -> Snapshot:
    return snapshots.edit_containers(HEALTHY, {service: None})


def _every_container(**changes: object) -> Snapshot:
    return snapshots.edit_containers(HEALTHY, {service: changes for service in SPEC.addresses()})


def _every(field: str) -> Snapshot:
    return snapshots.silence(HEALTHY, *(source for source in snapshots.sources(SPEC) if source[0] == field))


def _silent(field: str, key: str = "") -> Snapshot:
    return snapshots.silence(HEALTHY, (field, key))


def _backend(name: str, **changes: object) -> Snapshot:
    return snapshots.edit_backends(HEALTHY, {name: changes})


DEGRADED, DOWN, UNKNOWN = Level.DEGRADED, Level.DOWN, Level.UNKNOWN
FAULT, DRIFT = FindingKind.FAULT, FindingKind.DRIFT
ENDPOINT, POOL = SPEC.haproxy.service, SPEC.endpoints.balanced.service
NO_SLOT = f"its replication slot on {PRIMARY} is missing or inactive"
PAUSED = PatroniView(snapshots.patroni_view([PRIMARY, STANDBY, OTHER], PRIMARY).members, paused=True)

FAULTS = {
    "a container is missing": Fault(_gone("etcd2"), DEGRADED, FAULT, "etcd2", "does not exist"),
    "a container ended": Fault(
        _container("pgpool_ro", state="exited", exit_code=3), DEGRADED, FAULT, "pgpool_ro", "exited with 3"
    ),
    "a container is paused": Fault(_container(OTHER, state="paused"), DEGRADED, FAULT, OTHER, "is paused"),
    "a container restarts": Fault(_container(ENDPOINT, state="restarting"), DEGRADED, FAULT, ENDPOINT, "is restarting"),
    "a container ran out of memory": Fault(
        _container(OTHER, state="exited", exit_code=137, oom_killed=True),
        DEGRADED,
        FAULT,
        OTHER,
        "exited with 137, out of memory",
    ),
    "no container runs": Fault(
        _every_container(state="exited"), DOWN, FindingKind.DOWN, "cluster", "no container runs"
    ),
    "there is no container": Fault(
        replace(HEALTHY, containers=Seen({})), DOWN, FindingKind.DOWN, "cluster", "no container runs"
    ),
    "the engine does not answer": Fault(
        _silent("containers"), UNKNOWN, FindingKind.UNKNOWN, "containers", snapshots.SILENT
    ),
    "a standby is silent": Fault(
        _silent("postgres", STANDBY), DEGRADED, FAULT, STANDBY, f"does not answer: {snapshots.SILENT}"
    ),
    "the primary is silent": Fault(
        _silent("postgres", PRIMARY), DOWN, FindingKind.DOWN, "cluster", "no node is primary"
    ),
    "every PostgreSQL is silent": Fault(_every("postgres"), DOWN, FindingKind.DOWN, "cluster", "no PostgreSQL answers"),
    "a Patroni is silent": Fault(_silent("patroni", OTHER), DEGRADED, FAULT, OTHER, "Patroni does not answer"),
    "every Patroni is silent": Fault(_every("patroni"), DEGRADED, FAULT, PRIMARY, "Patroni does not answer"),
    "Patroni is paused": Fault(
        replace(HEALTHY, patroni=dict.fromkeys(HEALTHY.patroni, Seen(PAUSED))), DEGRADED, FAULT, "patroni", "is paused"
    ),
    "there are two primaries": Fault(
        snapshots.edit_postgres(HEALTHY, STANDBY, in_recovery=False),
        DEGRADED,
        FAULT,
        "cluster",
        "more than one primary",
    ),
    "there is no primary": Fault(_primary(in_recovery=True), DOWN, FindingKind.DOWN, "cluster", "no node is primary"),
    "a standby is not connected": Fault(
        _primary(senders=(_sender(OTHER),)), DEGRADED, FAULT, STANDBY, "is not streaming"
    ),
    "a standby catches up": Fault(
        _primary(senders=(_sender(OTHER), _sender(STANDBY, "catchup"))), DEGRADED, FAULT, STANDBY, "is not streaming"
    ),
    "a slot is inactive": Fault(
        _primary(slots=(_slot(OTHER), _slot(STANDBY, active=False))), DEGRADED, FAULT, STANDBY, NO_SLOT
    ),
    "a slot is missing": Fault(_primary(slots=(_slot(OTHER),)), DEGRADED, FAULT, STANDBY, NO_SLOT),
    "a slot is a logical one": Fault(
        _primary(slots=(_slot(OTHER), _slot(STANDBY, kind="logical"))), DEGRADED, FAULT, STANDBY, NO_SLOT
    ),
    "a standby is on another timeline": Fault(
        snapshots.edit_postgres(HEALTHY, OTHER, timeline=4),
        DEGRADED,
        FAULT,
        OTHER,
        "is on timeline 4, the primary on 1",
    ),
    "no standby acknowledges": Fault(_primary(synchronous_standby_names=""), DEGRADED, FAULT, PRIMARY, "not in force"),
    "checksums are off": Fault(_primary(data_checksums=False), DEGRADED, FAULT, PRIMARY, "checksums are off"),
    "Pgpool has a node down": Fault(_backend(OTHER, status="down"), DEGRADED, FAULT, POOL, f"has {OTHER} as down"),
    "Pgpool lacks a node": Fault(
        snapshots.edit_backends(HEALTHY, {OTHER: None}), DEGRADED, DRIFT, POOL, f"{OTHER} is not one of its backends"
    ),
    "Pgpool is silent": Fault(_silent("pgpool"), DEGRADED, FAULT, POOL, "Pgpool-II does not answer"),
    "HAProxy's backend is down": Fault(
        snapshots.edit_proxy(HEALTHY, "endpoint_rw", "BACKEND", "DOWN"),
        DEGRADED,
        FAULT,
        ENDPOINT,
        "endpoint_rw/BACKEND is DOWN",
    ),
    "HAProxy lacks a frontend": Fault(
        snapshots.edit_proxy(HEALTHY, "ro", "FRONTEND", None), DEGRADED, FAULT, ENDPOINT, "ro/FRONTEND is missing"
    ),
    "HAProxy leaves a standby out": Fault(
        snapshots.edit_proxy(HEALTHY, proxies.STANDBYS, OTHER, "DOWN"), DEGRADED, DRIFT, OTHER, "HAProxy reports out"
    ),
    "HAProxy is silent": Fault(_silent("haproxy"), DEGRADED, FAULT, ENDPOINT, "cannot be read"),
    "an endpoint is silent": Fault(
        _silent("endpoints", "balanced"), DEGRADED, FAULT, "endpoint balanced", "a query through its port fails"
    ),
    "a standby answers for writers": Fault(
        snapshots.edit_endpoint(HEALTHY, "rw", node=STANDBY, in_recovery=True),
        DEGRADED,
        FAULT,
        "endpoint rw",
        f"a standby, {STANDBY}",
    ),
    "the primary answers for readers": Fault(
        snapshots.edit_endpoint(HEALTHY, "ro", node=PRIMARY, in_recovery=False),
        DEGRADED,
        FAULT,
        "endpoint ro",
        f"the primary, {PRIMARY}",
    ),
    "a standby answers for direct writers": Fault(
        snapshots.edit_endpoint(HEALTHY, "direct_rw", node=STANDBY, in_recovery=True),
        DEGRADED,
        FAULT,
        "endpoint direct_rw",
        f"a standby, {STANDBY}",
    ),
    "the primary answers for direct readers": Fault(
        snapshots.edit_endpoint(HEALTHY, "direct_ro", node=PRIMARY, in_recovery=False),
        DEGRADED,
        FAULT,
        "endpoint direct_ro",
        f"the primary, {PRIMARY}",
    ),
    "a direct endpoint has no endpoint": Fault(
        snapshots.edit_proxy(HEALTHY, "direct_rw", "FRONTEND", None),
        DEGRADED,
        FAULT,
        ENDPOINT,
        "direct_rw/FRONTEND is mis",
    ),
    "an etcd member is silent": Fault(_silent("etcd", "etcd3"), DEGRADED, FAULT, "etcd3", "does not answer"),
    "etcd has no quorum": Fault(
        snapshots.edit_etcd(HEALTHY, "etcd1", healthy=False), DEGRADED, FAULT, "etcd1", "has no quorum"
    ),
}


@pytest.mark.parametrize("spec", [SPEC, snapshots.spec_of(2, 1), snapshots.spec_of(5, 5), snapshots.blue()])
def test_a_healthy_cluster_is_assessed_as_healthy(spec: ClusterSpec) -> None:
    """All sources answer and agree: no finding, whichever node is primary, whatever its size."""
    for node in spec.nodes:
        assessment = health.assess(spec, snapshots.healthy(spec, node.name))
        assert (assessment.level, assessment.findings, assessment.primary) == (Level.HEALTHY, (), node.name)
        assert not any(row.drift for row in assessment.rows)


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
def test_each_single_fault_is_found(fault: Fault) -> None:
    """One fault in a healthy cluster gives its level, and a finding that names it."""
    assessment = health.assess(SPEC, fault.seen)
    assert assessment.level is fault.level, assessment.findings
    found = [(finding.kind, finding.subject) for finding in assessment.findings if fault.part in finding.message]
    assert (fault.kind, fault.subject) in found, assessment.findings


def test_only_declared_synchrony_is_required() -> None:
    """With asynchronous replication declared, synchronous_standby_names must be empty, and that is no fault."""
    spec = snapshots.spec_of(replication=SPEC.replication.model_copy(update={"synchronous_mode": "off"}))
    assert health.assess(spec, snapshots.edit_postgres(HEALTHY, PRIMARY, synchronous_standby_names="")).is_healthy


def test_a_backend_that_waits_for_its_first_session_is_healthy() -> None:
    """Pgpool-II reports a node as "waiting" until a client connects."""
    assert health.assess(SPEC, _backend(OTHER, status="waiting")).is_healthy


@given(SPECS, st.data())
def test_without_any_one_answer_it_is_not_healthy(spec: ClusterSpec, data: st.DataObject) -> None:
    """A source that is silent, or was not asked, is never taken for a good one."""
    source = data.draw(st.sampled_from(snapshots.sources(spec)))
    seen = snapshots.healthy(spec)
    for missing in (snapshots.silence(seen, source), snapshots.forget(seen, source)):
        assessment = health.assess(spec, missing)
        assert assessment.level is not Level.HEALTHY, source
        assert assessment.findings, source


@given(SPECS, st.data())
def test_any_subset_of_answers_is_assessed(spec: ClusterSpec, data: st.DataObject) -> None:
    """Any set of answers gives a row for each node, and is healthy only if every source answers."""
    known = snapshots.sources(spec)
    silent = data.draw(st.sets(st.sampled_from(known)))
    missing = data.draw(st.sets(st.sampled_from(known)))
    assessment = health.assess(spec, snapshots.forget(snapshots.silence(snapshots.healthy(spec), *silent), *missing))
    assert [row.node for row in assessment.rows] == [node.name for node in spec.nodes]
    assert assessment.is_healthy is (not silent and not missing)


@given(SPECS, st.data())
def test_silence_everywhere_is_unknown(spec: ClusterSpec, data: st.DataObject) -> None:
    """Neither the engine nor a node answers: that is not "down", whatever the others report."""
    known = snapshots.sources(spec)
    nodes = [source for source in known if source[0] in ("containers", "postgres")]
    others = data.draw(st.sets(st.sampled_from([source for source in known if source not in nodes])))
    seen = snapshots.healthy(spec)
    for remove in (snapshots.silence, snapshots.forget):
        assert health.assess(spec, remove(seen, *nodes, *others)).level is Level.UNKNOWN


def test_an_empty_snapshot_is_unknown() -> None:
    """Without a request to any source, everything is unknown."""
    assert health.assess(SPEC, Snapshot(at="")).level is Level.UNKNOWN
