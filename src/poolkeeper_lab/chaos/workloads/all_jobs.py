"""Which workloads a run has: one of each checker, and two where a promise is made at two endpoints or two levels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from poolkeeper.model.spec import ClusterSpec
from poolkeeper_lab.chaos.workloads import bank, grow_set, job, list_append, one_writer, read_only, register
from poolkeeper_lab.chaos.workloads.job import WorkloadJob

ONE_WRITER, SET_STRAIGHT = "one_writer", "set_straight"
STRAIGHT = (ONE_WRITER, SET_STRAIGHT)  # the jobs at the nodes' own ports


def made(spec: ClusterSpec, is_bounded: bool) -> tuple[WorkloadJob, ...]:
    """New jobs for a run. `is_bounded`: is keeper there all the time, so that the age of a read is held?"""
    nodes = [node.name for node in spec.nodes]
    bound = float(spec.keeper.max_read_staleness_seconds) if is_bounded else None
    return (
        grow_set.made("set", job.RW, nodes),
        grow_set.made("set_balanced", job.POOL, nodes),
        list_append.made("list_append_serializable", "serializable"),
        list_append.made("list_append_repeatable_read", "repeatable-read"),
        register.made("register"),
        bank.made("bank"),
        read_only.made("read_only", bound),
        one_writer.made(ONE_WRITER, nodes),
        set_straight(nodes),
    )


def set_straight(nodes: Sequence[str]) -> WorkloadJob:
    """Elements are added at every node's own port: what a former primary acknowledges there must not be lost either.

    Two rivals that share one standby acknowledge one after the other, never both; only the loss tells of them then.
    """
    one = grow_set.made(SET_STRAIGHT, nodes[0], nodes)
    add = one.roles[0]
    return replace(one, roles=tuple(replace(add, endpoint=node, refuses_writes=True) for node in nodes))


def at_pace(factor: float) -> Callable[[ClusterSpec, bool], tuple[WorkloadJob, ...]]:
    """What makes the same jobs with clients that ask `factor` times as often, as far as the answers come so fast."""

    def jobs(spec: ClusterSpec, is_bounded: bool) -> tuple[WorkloadJob, ...]:
        return tuple(_at_pace(job, factor) for job in made(spec, is_bounded))

    return jobs


def _at_pace(one: WorkloadJob, factor: float) -> WorkloadJob:
    return replace(one, roles=tuple(replace(role, pace=role.pace / factor) for role in one.roles))
