"""The workloads of a run: one for each checker, and two for a promise at two endpoints or two isolation levels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from poolkeeper.model.endpoint_keys import BALANCED, RW
from poolkeeper.model.spec import ClusterSpec
from poolkeeper_lab.chaos.workloads import bank, grow_set, list_append, one_writer, read_only, register
from poolkeeper_lab.chaos.workloads.job import WorkloadJob

ONE_WRITER, SET_STRAIGHT = "one_writer", "set_straight"
STRAIGHT = (ONE_WRITER, SET_STRAIGHT)  # the jobs at the nodes' own ports


def made(spec: ClusterSpec, is_bounded: bool) -> tuple[WorkloadJob, ...]:
    """Return new jobs for a run. `is_bounded`: keeper runs all the time, so the age of a read is bounded."""
    nodes = [node.name for node in spec.nodes]
    bound = float(spec.keeper.max_read_staleness_seconds) if is_bounded else None
    return (
        grow_set.made("set", RW, nodes),
        grow_set.made("set_balanced", BALANCED, nodes),
        list_append.made("list_append_serializable", "serializable"),
        list_append.made("list_append_repeatable_read", "repeatable-read"),
        register.made("register"),
        bank.made("bank"),
        read_only.made("read_only", bound),
        one_writer.made(ONE_WRITER, nodes),
        set_straight(nodes),
    )


def set_straight(nodes: Sequence[str]) -> WorkloadJob:
    """Return a job that adds elements at every node's own port: a former primary's acknowledgements must not be lost.

    Two rivals that share one standby acknowledge one after the other, never both; then only the loss reveals them.
    """
    one = grow_set.made(SET_STRAIGHT, nodes[0], nodes)
    add = one.roles[0]
    return replace(one, roles=tuple(replace(add, endpoint=node, refuses_writes=True) for node in nodes))


def at_pace(factor: float) -> Callable[[ClusterSpec, bool], tuple[WorkloadJob, ...]]:
    """Return a maker of the same jobs whose clients ask `factor` times as often, as far as the answers are so fast."""

    def jobs(spec: ClusterSpec, is_bounded: bool) -> tuple[WorkloadJob, ...]:
        return tuple(_at_pace(job, factor) for job in made(spec, is_bounded))

    return jobs


def _at_pace(one: WorkloadJob, factor: float) -> WorkloadJob:
    return replace(one, roles=tuple(replace(role, pace=role.pace / factor) for role in one.roles))
