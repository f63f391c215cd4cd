"""Bugs of the configuration, planted by the cluster's own ways: SQL, as somebody who may do it would."""

from __future__ import annotations

from typing_extensions import override

from poolkeeper.cluster import snapshot
from poolkeeper.core import errors, interrupts, wait
from poolkeeper.decide import health
from poolkeeper.system import patroni, postgres
from poolkeeper_lab.chaos.mutants.change import ClusterChange
from poolkeeper_lab.chaos.workloads import workload_tables
from poolkeeper_lab.drill.drilled_cluster import DrilledCluster
from poolkeeper_lab.faults import node_faults

TAKEN_SECONDS = 20.0  # a round of Patroni and a reload
HEALTHY_SECONDS = 60.0  # after clones
_HAS = (
    "SELECT entry FROM pg_db_role_setting JOIN pg_roles ON pg_roles.oid = setrole, unnest(setconfig) AS entry "
    "WHERE rolname = '{role}' AND entry LIKE '{parameter}=%'"
)
_END = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = '{role}'"


class RoleSetting(ClusterChange):
    """`ALTER ROLE … SET` for the application's role. Its open sessions are ended: they keep what they began with."""

    def __init__(self, parameter: str, value: str) -> None:
        self.parameter, self.value = parameter, value

    async def apply(self, site: DrilledCluster) -> None:
        """Raises OperationRefused where the role has such a setting of its own, which would be lost."""
        if await self.is_there(site):
            raise errors.OperationRefused(f"the role {site.spec.roles.app} has its own {self.parameter}; it is left")
        await self._change(site, f"ALTER ROLE {_quoted(site)} SET {self.parameter} = '{self.value}'")

    @override
    async def take_away(self, site: DrilledCluster) -> None:
        if f"{self.parameter}={self.value}" in await self._entries(site):
            await self._change(site, f"ALTER ROLE {_quoted(site)} RESET {self.parameter}")

    @override
    async def is_there(self, site: DrilledCluster) -> bool:
        return bool(await self._entries(site))

    async def _entries(self, site: DrilledCluster) -> list[str]:
        rows = await self._ask(site, _HAS.format(role=site.spec.roles.app, parameter=self.parameter))
        return [str(entry) for (entry,) in rows]

    async def _change(self, site: DrilledCluster, statement: str) -> None:
        await self._ask(site, statement)
        for node in site.spec.nodes:
            end = _END.format(role=site.spec.roles.app)
            await postgres.query(site.cluster.node(node.name, "superuser"), end, site.spec.timeouts.query)

    async def _ask(self, site: DrilledCluster, statement: str) -> list[postgres.Row]:
        primary = health.assess(site.spec, await snapshot.take_snapshot(site.cluster)).primary
        if primary is None:
            raise errors.ClusterNotUp("no node is primary")
        return await postgres.query(site.cluster.node(primary, "superuser"), statement, site.spec.timeouts.query)


class SharedParameter(ClusterChange):
    """A parameter in Patroni's shared configuration, as `patronictl edit-config` sets it on every node.

    Only for one that is not there already, and that the servers take without a restart.
    """

    def __init__(self, parameter: str, value: str) -> None:
        self.parameter, self.value = parameter, value

    async def apply(self, site: DrilledCluster) -> None:
        """Raises OperationRefused where it is there already, DeadlinePassed where a node does not take it."""
        if await self.is_there(site):
            raise errors.OperationRefused(f"{self.parameter} is in the shared configuration already; it is left")
        await self._patch(site, self.value)
        await self._taken(site, is_planted=True)

    @override
    async def take_away(self, site: DrilledCluster) -> None:
        if await self.is_there(site):
            await self._clean_up(site)
            await self._patch(site, None)
        await self._taken(site, is_planted=False)

    async def _clean_up(self, site: DrilledCluster) -> None:
        """What else has to be done before the last trace goes."""

    @override
    async def is_there(self, site: DrilledCluster) -> bool:
        document = await patroni.read_config(await self._address(site), site.spec.timeouts.query)
        return self.parameter in document.get("postgresql", {}).get("parameters", {})

    async def _patch(self, site: DrilledCluster, value: str | None) -> None:
        change = {"postgresql": {"parameters": {self.parameter: value}}}
        address = await self._address(site)
        await patroni.patch_config(address, change, site.cluster.rest_auth, site.spec.timeouts.query)

    async def _address(self, site: DrilledCluster) -> str:
        """Of a Patroni that answers. Raises ClusterNotUp where none does."""
        for node in site.spec.nodes:
            if (
                await snapshot.observe(patroni.observe_version(site.address(node.name), site.spec.timeouts.query))
            ).is_known:
                return site.address(node.name)
        raise errors.ClusterNotUp("no Patroni answers")

    async def _taken(self, site: DrilledCluster, is_planted: bool) -> None:
        """Wait until every server has it, or has it no more; one that does not answer has not."""

        async def look() -> str | None:
            for node in site.spec.nodes:
                ask = postgres.query(site.cluster.node(node.name), f"SHOW {self.parameter}", site.spec.timeouts.query)
                seen = await snapshot.observe(ask)
                if seen.value is None:
                    return seen.error
                if (seen.value[0][0] == self.value) is not is_planted:
                    return f"{node.name} has {self.parameter} = {seen.value[0][0]}"
            return None

        await wait.wait_until(f"{self.parameter} on every node", look, seconds=TAKEN_SECONDS)


class Unflushed(SharedParameter):
    """`fsync = off`. A loss of power under it leaves a standby that lacks rows or does not start: all are cloned anew.

    What the primary has is taken for the truth then; the tables of the run, which were written meanwhile, are dropped.
    """

    def __init__(self) -> None:
        super().__init__("fsync", "off")

    async def _clean_up(self, site: DrilledCluster) -> None:
        await self._patch(site, "on")  # the trace stays until all is done
        primary = await interrupts.in_thread(node_faults.wait_primary, site.host, TAKEN_SECONDS)
        for node in await self._standbys(site, primary):
            await interrupts.in_thread(node_faults.clone_again, site.host, node)
        await self._taken(site, is_planted=False)
        await workload_tables.clear(site.cluster, await site.wait_healthy(HEALTHY_SECONDS))

    async def _standbys(self, site: DrilledCluster, primary: str) -> list[str]:
        """One that does not answer first, so that the primary is not left without any meanwhile."""
        names = [node.name for node in site.spec.nodes if node.name != primary]
        seen = [
            await snapshot.observe(postgres.query(site.cluster.node(name), "SELECT 1", site.spec.timeouts.query))
            for name in names
        ]
        return [name for _, name in sorted(zip([one.is_known for one in seen], names, strict=True))]


def _quoted(site: DrilledCluster) -> str:
    """The names of roles are letters, digits and underscores (model/spec.py)."""
    return f'"{site.spec.roles.app}"'
