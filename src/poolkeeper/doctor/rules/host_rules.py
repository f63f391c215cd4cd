"""Rules for the host and etcd: the disks, the machine's processors and memory, and each etcd member."""

from __future__ import annotations

from collections.abc import Iterator

from poolkeeper.cluster.reading import listed
from poolkeeper.doctor.rules.rule import Rule, SomeReading, amount, share, value_of
from poolkeeper.model.diagnosis import ClusterFacts, DoctorFinding, EtcdLoad, Volume
from poolkeeper.model.spec import ClusterSpec

FULL = 0.8
LOAD = 2.0  # runnable processes per core
LEAST_AVAILABLE = 0.1
SLOWEST = 0.99  # the quantile of the durations of etcd's writes
SHM = "/dev/shm"


def evaluate(spec: ClusterSpec, facts: ClusterFacts) -> Iterator[DoctorFinding]:
    """Yield the findings of the volumes, the etcd members, the machine, and the containers that ran out of memory."""
    for service in (*(n.name for n in spec.nodes), *(m.name for m in spec.etcd.members)):
        yield from _volumes(spec, facts, service)
    for member in spec.etcd.members:
        yield from _etcd(spec, facts, member.name)
    yield from _host(facts)
    yield _killed(facts)


def _volumes(spec: ClusterSpec, facts: ClusterFacts, service: str) -> Iterator[DoctorFinding]:
    reading = facts.volumes.get(service)
    found = value_of(reading)
    is_node = service in {node.name for node in spec.nodes}
    disk, shm = _disk_rule(service, is_node), _shm_rule(service)
    if found is None:
        yield disk.unknown(reading)
        if is_node:
            yield shm.unknown(reading)
        return
    disks = [volume for volume in found if volume.path != SHM]
    yield _fullest(disk, disks, reading)
    if is_node:
        yield _fullest(shm, [volume for volume in found if volume.path == SHM], reading)


def _disk_rule(service: str, is_node: bool) -> Rule:
    return Rule(
        "disk.volume",
        service,
        f"{FULL:.0%} of the space that is not reserved for root",
        "postgresql.parameters.max_slot_wal_keep_size" if is_node else "",
        "Free some space, or enlarge the engine's disk; max_wal_size and max_slot_wal_keep_size bound the WAL. "
        "A full disk stops PostgreSQL, and also etcd where they share the disk.",
        "SELECT datname, pg_size_pretty(pg_database_size(datname)) FROM pg_database; pg_ls_waldir()" if is_node else "",
    )


def _shm_rule(service: str) -> Rule:
    return Rule(
        "disk.shared_memory",
        service,
        f"{FULL:.0%}",
        "postgresql.shared_memory_mb",
        "Raise it (poolkeeper tune), or lower work_mem: parallel queries fail when shared memory is full.",
        "docker exec NODE df /dev/shm",
    )


def _fullest(rule: Rule, volumes: list[Volume], reading: SomeReading) -> DoctorFinding:
    if not volumes:
        return rule.unknown(reading, why="df did not report it")
    volume = max(volumes, key=_used)
    figure = f"{_used(volume):.0%}"
    text = f"{figure} of {volume.path} is used, {amount(volume.free)} are free"
    return rule.finding(_used(volume) >= FULL, figure, text, reading)


def _used(volume: Volume) -> float:
    """Return the used share as `df` counts it: the space reserved for root is neither used nor free."""
    return volume.used / (volume.used + volume.free) if volume.used + volume.free else 1.0


def _etcd(spec: ClusterSpec, facts: ClusterFacts, name: str) -> Iterator[DoctorFinding]:
    reading = facts.etcd.get(name)
    load = value_of(reading)
    size = Rule(
        "etcd.size",
        name,
        f"{FULL:.0%} of its quota",
        "",
        "Defragment the members one by one (etcdctl defrag); beyond its quota etcd refuses all writes, also Patroni's.",
        "etcdctl endpoint status --write-out=table",
    )
    heartbeat = spec.etcd.heartbeat_ms
    fsync = Rule(
        "etcd.fsync",
        name,
        f"99% of the writes within etcd.heartbeat_ms = {heartbeat} ms",
        "etcd.heartbeat_ms",
        "Give etcd its own disk or a faster one; else raise heartbeat_ms, and election_ms to ten times that: a "
        "leader that waits for its disk misses heartbeats, and etcd elects again.",
        f"curl http://{spec.addresses()[name]}:2379/metrics | grep wal_fsync",
    )
    if load is None:
        yield size.unknown(reading)
        yield fsync.unknown(reading)
        return
    figure = share(load.db_bytes, load.quota_bytes)
    text = f"its database uses {amount(load.db_bytes)} of {amount(load.quota_bytes)}"
    yield size.finding(load.db_bytes >= FULL * load.quota_bytes, figure, text, reading)
    between = slowest_writes(load)
    if between is None:
        yield fsync.unknown(reading, why="etcd has written nothing to its log yet")
        return
    least, most = (f"{bound * 1000:g} ms" if bound != float("inf") else "any time" for bound in between)
    text = (
        f"since it started, the slowest 1% of the writes of its log took more than {least} to {most}; "
        f"{load.heartbeat_failures} heartbeats came late, {load.leader_changes} changes of the leader"
    )
    yield fsync.finding(between[0] * 1000 >= heartbeat, f"{least} to {most}", text, reading)


def slowest_writes(load: EtcdLoad) -> tuple[float, float] | None:
    """Return the bounds, in seconds, of the bucket in which 99% of the writes are reached; None without any write."""
    total = max((count for _, count in load.fsyncs), default=0)
    below = 0.0
    for bound, count in load.fsyncs:
        if total and count >= SLOWEST * total:
            return below, bound
        below = bound
    return None


def _host(facts: ClusterFacts) -> Iterator[DoctorFinding]:
    load = value_of(facts.host)
    busy = Rule(
        "machine.processors",
        "machine",
        f"a load of {LOAD:g} per core",
        "",
        "Find the process (top); with a smaller num_init_children, sessions queue at the endpoint instead of here.",
        "docker stats",
    )
    memory = Rule(
        "machine.memory",
        "machine",
        f"{LEAST_AVAILABLE:.0%} available",
        "postgresql.parameters.shared_buffers",
        "Run `poolkeeper tune`: its budget lists what uses the memory.",
        "docker stats; free -m",
    )
    if load is None:
        yield busy.unknown(facts.host)
        yield memory.unknown(facts.host)
        return
    text = f"{load.load:g} processes on average ran or waited to run in the last minute, on {load.cores} cores"
    yield busy.finding(load.load > LOAD * load.cores, f"{load.load:g}", text, facts.host)
    figure = share(load.available_mb, load.memory_mb)
    text = f"{load.available_mb} of {load.memory_mb} MB are available ({figure})"
    yield memory.finding(load.available_mb < LEAST_AVAILABLE * load.memory_mb, figure, text, facts.host)


def _killed(facts: ClusterFacts) -> DoctorFinding:
    rule = Rule(
        "machine.out_of_memory",
        "containers",
        "no container lost a process to the lack of memory",
        "postgresql.parameters.work_mem",
        "Run `poolkeeper tune`: its budget lists what uses the memory.",
        "docker inspect --format '{{.State.OOMKilled}}' NAME; dmesg",
    )
    found = value_of(facts.containers)
    if not found:
        why = "" if found is None else "no container of this cluster exists"
        return rule.unknown(facts.containers, why=why)
    killed = sorted(name for name, container in found.items() if container.oom_killed)
    text = f"{listed(killed)} lost a process to the lack of memory" if killed else "no container lost a process"
    return rule.finding(bool(killed), str(len(killed)), text, facts.containers)
