"""The repair that `up` makes of a Pgpool-II whose view of the nodes is wrong.

Never on unknown: without one primary that PostgreSQL and Patroni agree on, nothing is done. Never an attach while
Pgpool-II has a wrong primary: a session that survives could then write on one node and roll back on another. A restart
ends every session in that case, and Pgpool-II finds the roles again. Only a node that streams on the primary's timeline
is attached.
"""

from __future__ import annotations

from poolkeeper.decide import drift
from poolkeeper.model import pool_node_states
from poolkeeper.model.observed import Snapshot
from poolkeeper.model.plan import Action, PlanStep
from poolkeeper.model.spec import ClusterSpec


def pgpool_repair(spec: ClusterSpec, seen: Snapshot) -> PlanStep | None:
    """Return the next repair of the balanced endpoint's view, or None."""
    primary = drift.primary_by_postgres(seen)
    leaders = {answer.value.leader for answer in seen.patroni.values() if answer.value}
    if primary is None or leaders != {primary}:
        return None
    service = spec.endpoints.balanced.service
    view = seen.pgpool.value
    if view is None:
        return PlanStep(Action.RESTART, (service,), "it gives no answer")
    roles = {node.hostname: node for node in view.nodes}
    wrong = [name for name, node in roles.items() if (node.role == "primary") is not (name == primary)]
    if wrong or primary not in roles:
        return PlanStep(Action.RESTART, (service,), f"its primary is not {primary}; a restart ends every session of it")
    eligible = eligible_standbys(seen, primary)
    names = [node.name for node in spec.nodes if node.name in roles]
    down = [name for name in names if not pool_node_states.is_in_use(roles[name].status)]
    ready = tuple(name for name in down if name in eligible or name == primary)
    return (
        PlanStep(Action.ATTACH, ready, "streams from the primary again, and Pgpool-II has it as down")
        if ready
        else None
    )


def eligible_standbys(seen: Snapshot, primary: str) -> set[str]:
    """Return the standbys that stream on the primary's timeline, as the primary, Patroni and they themselves report."""
    server, patroni = seen.postgres[primary].value, drift.patroni_view(seen)
    if server is None or patroni is None:
        return set()
    streaming = {sender.application for sender in server.senders if sender.state == "streaming"}
    eligible: set[str] = set()
    for name in streaming:
        member = patroni.member(name)
        own = seen.postgres[name].value if name in seen.postgres else None
        if member and member.state == "streaming" and own and own.in_recovery and own.timeline == server.timeline:
            eligible.add(name)
    return eligible
