"""Mutants of keeper. They quote the sources in src/poolkeeper; tests/lab/unit/test_chaos_mutants.py checks the quotes.

A bug of keeper can do no more than keeper: it has no password of PostgreSQL or of Patroni's REST API and no socket of
the engine, so it cannot promote a server on its own. Its only way to elect is the leader key in etcd.
"""

from __future__ import annotations

from poolkeeper_lab.chaos.mutants.keeper_source import KeeperSource, Mutation
from poolkeeper_lab.chaos.mutants.mutant import Catch, Mutant
from poolkeeper_lab.chaos.scenarios import moment_scenarios

LOST = (
    Catch("one_writer", "former-primary"),
    Catch("one_writer", "split-brain"),
    Catch("set", "lost"),
    Catch("list_append", "lost-append"),
    Catch("register", "not-linearizable"),
)

RELEASE_WITHOUT_PROOF = Mutant(
    "release_without_proof",
    "keeper treats a node as dead once its Patroni is silent for two seconds, and gives its lease away",
    KeeperSource(
        Mutation(
            "keeper/watchers.py",
            "        if known.spec.keeper.fence_command and lease is not None:\n",
            "        if lease is not None:\n",
        ),
        Mutation(
            "keeper/decide/release.py",
            "    if observed.is_dead(owner):\n",
            "    if observed.is_dead(owner) or observed.at - observed.silent.get(owner, observed.at) > 2:\n",
        ),
    ),
    (moment_scenarios.SILENT_PATRONI_LATE_STANDBY,),
    LOST,
)
ELECTION_BY_KEEPER = Mutant(
    "election_by_keeper",
    "keeper elects: it writes the first standby's name into the leader key instead of leaving the choice to Patroni",
    KeeperSource(
        Mutation(
            "keeper/route_loop.py",
            "            done = await self._store.delete_if(keys, guards)\n",
            "            view = self._known.observed.store.value\n"
            "            winner = sorted(name for name in view.members if name != owner)[0]\n"
            "            done = await self._store.put_if(keys[0], winner, guards)\n",
        ),
    ),
    (moment_scenarios.CUT_FIRST_THEN_KILL,),
    LOST,
)
READERS_BEFORE_STREAMING = Mutant(
    "readers_before_streaming",
    "keeper lets clients read from a standby that runs and does not stream",
    KeeperSource(
        Mutation(
            "keeper/decide/routes.py",
            "    if member is None:\n        return None\n",
            "    if member is None or not member.is_streaming:\n        return None\n",
        ),
    ),
    (moment_scenarios.RUNS_AND_DOES_NOT_STREAM,),
    (Catch("read_only", "too-old"), Catch("read_only", "backwards")),
)
AGE_IS_IGNORED = Mutant(
    "age_is_ignored",
    "keeper allows a thousand times the bound on the age of reads",
    KeeperSource(
        Mutation(
            "keeper/decide/routes.py",
            "    bound = spec.keeper.max_read_staleness_seconds\n",
            "    bound = spec.keeper.max_read_staleness_seconds * 1000\n",
        ),
    ),
    (moment_scenarios.FALLS_BEHIND,),
    (Catch("read_only", "too-old"),),
)
FORMER_PRIMARY_IN_POOL = Mutant(
    "former_primary_in_pool",
    "keeper keeps the former primary as the primary in the balanced endpoint's Pgpool-II",
    KeeperSource(
        Mutation(
            "keeper/decide/backends.py",
            "    if wrong:\n        return (wrong,)\n",
            "    if wrong:\n        return ()\n",
        ),
    ),
    (moment_scenarios.PATRONIS_SWITCHOVER,),
    (Catch("final_state", "drift"), Catch("final_state", "heal")),
)

MUTANTS = (
    RELEASE_WITHOUT_PROOF,
    READERS_BEFORE_STREAMING,
    FORMER_PRIMARY_IN_POOL,
    AGE_IS_IGNORED,
    ELECTION_BY_KEEPER,
)
