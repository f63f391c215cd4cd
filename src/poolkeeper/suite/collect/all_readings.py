"""Take every reading that the chosen groups need, concurrently if none depends on another.

Invariant: the schema of the run is removed before this returns or raises, also when the run is cancelled.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from poolkeeper.model.dsn import Dsn
from poolkeeper.model.endpoint_keys import BALANCED, DIRECT_RO, DIRECT_RW, RO, RW
from poolkeeper.model.probe import Readings
from poolkeeper.model.target import OwnCluster, Target
from poolkeeper.model.verdict import GROUPS
from poolkeeper.suite.collect import own_probes, read_only_probe, server_probes, workspace, write_probes

Groups = frozenset[int]
Say = Callable[[str], None]
Questions = dict[
    str, tuple[set[int], Callable[[], Awaitable[Any]]]
]  # field of Readings → the groups that need it, and how

# Numbers of model.verdict.GROUPS. Nearly all need the nodes: they report the standbys, and that any node answers.
_NODES = set(GROUPS) - {12}
_WORKSPACE = {4, 6, 11}


async def collect(target: Target, groups: Groups, say: Say) -> Readings:
    """Return the readings for these groups; `say` takes lines of progress."""
    space = workspace.Workspace()
    say(f"Asking {len(target.nodes)} nodes, Pgpool-II and HAProxy")
    try:
        alone, linked = await asyncio.gather(_independent(target, groups), _dependent(target, groups, space, say))
    finally:
        await workspace.remove(target, space, say)
    return Readings(**alone, **linked)


async def _ask(groups: Groups, questions: Questions) -> dict[str, Any]:
    """Return the answers to the questions that these groups need, asked concurrently."""
    wanted = {name: ask for name, (needed_by, ask) in questions.items() if groups & needed_by}
    return dict(zip(wanted, await asyncio.gather(*(ask() for ask in wanted.values())), strict=True))


async def _independent(target: Target, groups: Groups) -> dict[str, Any]:
    limit = target.timeout
    inside = _inside(target, target.own) if target.own else {}
    return await _ask(
        groups,
        inside
        | {
            BALANCED: ({2}, lambda: server_probes.endpoint(target.balanced, limit)),
            "backends": ({2, 15}, lambda: server_probes.backends(target)),
            RW: ({3}, lambda: server_probes.endpoint(target.rw, limit)),
            RO: ({3}, lambda: server_probes.endpoint(target.ro, limit)),
            "pgpool": ({12}, lambda: server_probes.pgpool_facts(target)),
            "stats": ({13, 15}, lambda: server_probes.stats(target)),
            "balance": ({7}, lambda: server_probes.balance(target)),
        },
    )


def _inside(target: Target, parts: OwnCluster) -> Questions:
    """Return the questions for our own clusters only."""
    return {
        **_direct(target, parts.direct),
        "read_only": ({14}, lambda: read_only_probe.sessions(target, target.ro, parts.read_sessions)),
        "patroni": ({15}, lambda: own_probes.patroni_views(parts, target.timeout)),
        "session_commit": ({16}, lambda: own_probes.session_commit(target)),
        "keeper": ({15, 17}, lambda: own_probes.keeper_view(parts, target.timeout)),
    }


def _direct(target: Target, declared: Mapping[str, Dsn]) -> Questions:
    """Return one session for each direct endpoint, so that the suite takes few sessions from other clients."""
    ask: Questions = {
        DIRECT_RW: ({18}, lambda: server_probes.endpoint(declared[DIRECT_RW], target.timeout)),
        DIRECT_RO: ({18}, lambda: read_only_probe.sessions(target, declared[DIRECT_RO], 1)),
    }
    return {key: ask[key] for key in declared}


async def _dependent(target: Target, groups: Groups, space: workspace.Workspace, say: Say) -> dict[str, Any]:
    """Take the readings that depend on the primary's name, or on a schema to write in."""
    known = await _ask(
        groups,
        {
            "nodes": (_NODES, lambda: server_probes.nodes(target)),
            "workspace": (_WORKSPACE, lambda: workspace.create(target, space)),
        },
    )
    primaries = server_probes.primaries(known.get("nodes", {}))
    others = tuple(name for name in target.names if (name,) != primaries)
    place = known.get("workspace")
    chains: list[Awaitable[dict[str, Any]]] = [_ask_nodes(target, groups, primaries, others, space.schema)]
    if place and place.value:
        say(f"Working in the schema {space.schema}")
        chains += _writing(target, groups, others, space.schema)
    found = known
    for part in await asyncio.gather(*chains):
        found |= part
    return found


async def _ask_nodes(
    target: Target, groups: Groups, primaries: tuple[str, ...], others: tuple[str, ...], schema: str
) -> dict[str, Any]:
    return await _ask(
        groups,
        {
            "senders": ({9}, lambda: server_probes.senders(target, primaries)),
            "slots": ({10}, lambda: server_probes.slots(target, primaries)),
            "commit": ({16}, lambda: own_probes.commit(target, primaries)),
            "attempts": ({5}, lambda: write_probes.attempts(target, others, schema)),
        },
    )


def _writing(target: Target, groups: Groups, others: tuple[str, ...], schema: str) -> list[Awaitable[dict[str, Any]]]:
    chains = {4: _replicate, 6: _alter, 11: _write_concurrently}
    return [chain(target, others, schema) for group, chain in chains.items() if group in groups]


async def _replicate(target: Target, others: tuple[str, ...], schema: str) -> dict[str, Any]:
    inserted = await write_probes.insert(target, schema)
    if inserted.value is None:
        return {"inserted": inserted}
    return {"inserted": inserted, "arrivals": await write_probes.arrivals(target, others, schema)}


async def _alter(target: Target, others: tuple[str, ...], schema: str) -> dict[str, Any]:
    altered = await write_probes.alter(target, schema)
    if altered.value is None:
        return {"altered": altered}
    return {"altered": altered, "columns": await write_probes.columns(target, others, schema)}


async def _write_concurrently(target: Target, _others: tuple[str, ...], schema: str) -> dict[str, Any]:
    inserts = await write_probes.write_concurrently(target, schema)
    if inserts.value is None:
        return {"inserts": inserts}
    return {"inserts": inserts, "rows": await write_probes.rows_seen(target, schema, len(inserts.value.acknowledged))}
