"""Changes of the configuration that inject a bug by the cluster's own means: SQL and Patroni's REST API."""

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

ADOPT_SECONDS = 20.0  # an iteration of Patroni and a reload
HEALTHY_SECONDS = 60.0  # after the clones
_HAS = (
    "SELECT entry FROM pg_db_role_setting JOIN pg_roles ON pg_roles.oid = setrole, unnest(setconfig) AS entry "
    "WHERE rolname = '{role}' AND entry LIKE '{parameter}=%'"
)
_END = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = '{role}'"


class RoleSetting(ClusterChange):
    """`ALTER ROLE … SET` for the application's role. Its open sessions are ended, since they keep the former value."""

    def __init__(self, parameter: str, value: str) -> None:
        self.parameter, self.value = parameter, value

    async def apply(self, drilled: DrilledCluster) -> None:
        """Set the parameter.

        Raises:
            OperationRefused: if the role has its own setting of it, which would be lost.
        """
        if await self.is_applied(drilled):
            raise errors.OperationRefused(f"the role {drilled.spec.roles.app} has its own {self.parameter}; it is left")
        await self._change(drilled, f"ALTER ROLE {_quoted(drilled)} SET {self.parameter} = '{self.value}'")

    @override
    async def revert(self, drilled: DrilledCluster) -> None:
        if f"{self.parameter}={self.value}" in await self._entries(drilled):
            await self._change(drilled, f"ALTER ROLE {_quoted(drilled)} RESET {self.parameter}")

    @override
    async def is_applied(self, drilled: DrilledCluster) -> bool:
        return bool(await self._entries(drilled))

    async def _entries(self, drilled: DrilledCluster) -> list[str]:
        rows = await self._ask(drilled, _HAS.format(role=drilled.spec.roles.app, parameter=self.parameter))
        return [str(entry) for (entry,) in rows]

    async def _change(self, drilled: DrilledCluster, statement: str) -> None:
        await self._ask(drilled, statement)
        for node in drilled.spec.nodes:
            end = _END.format(role=drilled.spec.roles.app)
            await postgres.query(drilled.cluster.node(node.name, "superuser"), end, drilled.spec.timeouts.query)

    async def _ask(self, drilled: DrilledCluster, statement: str) -> list[postgres.Row]:
        primary = health.assess(drilled.spec, await snapshot.take_snapshot(drilled.cluster)).primary
        if primary is None:
            raise errors.ClusterNotUp("no node is primary")
        return await postgres.query(drilled.cluster.node(primary, "superuser"), statement, drilled.spec.timeouts.query)


class SharedParameter(ClusterChange):
    """A parameter in Patroni's shared configuration, as `patronictl edit-config` sets it on every node.

    Only for a parameter that is not set there, and that the servers adopt without a restart.
    """

    def __init__(self, parameter: str, value: str) -> None:
        self.parameter, self.value = parameter, value

    async def apply(self, drilled: DrilledCluster) -> None:
        """Set the parameter and wait until every node has it.

        Raises:
            OperationRefused: if it is set already.
            DeadlinePassed: if a node does not adopt it in time.
        """
        if await self.is_applied(drilled):
            raise errors.OperationRefused(f"{self.parameter} is in the shared configuration already; it is left")
        await self._patch(drilled, self.value)
        await self._wait_adopted(drilled, is_applied=True)

    @override
    async def revert(self, drilled: DrilledCluster) -> None:
        if await self.is_applied(drilled):
            await self._clean_up(drilled)
            await self._patch(drilled, None)
        await self._wait_adopted(drilled, is_applied=False)

    async def _clean_up(self, drilled: DrilledCluster) -> None:
        """Clean up before the parameter is removed; here nothing."""

    @override
    async def is_applied(self, drilled: DrilledCluster) -> bool:
        document = await patroni.read_config(await self._address(drilled), drilled.spec.timeouts.query)
        return self.parameter in document.get("postgresql", {}).get("parameters", {})

    async def _patch(self, drilled: DrilledCluster, value: str | None) -> None:
        change = {"postgresql": {"parameters": {self.parameter: value}}}
        address = await self._address(drilled)
        await patroni.patch_config(address, change, drilled.cluster.rest_auth, drilled.spec.timeouts.query)

    async def _address(self, drilled: DrilledCluster) -> str:
        """Return the address of a Patroni that answers; raise ClusterNotUp if none does."""
        for node in drilled.spec.nodes:
            if (
                await snapshot.observe(
                    patroni.observe_version(drilled.cluster.address(node.name), drilled.spec.timeouts.query)
                )
            ).is_known:
                return drilled.cluster.address(node.name)
        raise errors.ClusterNotUp("no Patroni answers")

    async def _wait_adopted(self, drilled: DrilledCluster, is_applied: bool) -> None:
        """Wait until every server has the value, or none has it; a server that does not answer counts as missing."""
        limit, show = drilled.spec.timeouts.query, f"SHOW {self.parameter}"

        async def adopted() -> None:
            for node in drilled.spec.nodes:
                seen = await snapshot.observe(postgres.query(drilled.cluster.node(node.name), show, limit))
                if seen.value is None:
                    raise wait.NotYet(seen.error)
                if (seen.value[0][0] == self.value) is not is_applied:
                    raise wait.NotYet(f"{node.name} has {self.parameter} = {seen.value[0][0]}")

        await wait.wait_for(f"{self.parameter} on every node", adopted, seconds=ADOPT_SECONDS)


class Unflushed(SharedParameter):
    """`fsync = off`. A loss of power then leaves a standby that lacks rows or does not start: all are cloned again.

    The primary's data then counts as correct; the tables of the run, which were written meanwhile, are dropped.
    """

    def __init__(self) -> None:
        super().__init__("fsync", "off")

    async def _clean_up(self, drilled: DrilledCluster) -> None:
        await self._patch(drilled, "on")  # the parameter stays set until all is done
        primary = await interrupts.in_thread(node_faults.wait_primary, drilled.host, ADOPT_SECONDS)
        for node in await self._standbys(drilled, primary):
            await interrupts.in_thread(node_faults.clone_again, drilled.host, node)
        await self._wait_adopted(drilled, is_applied=False)
        await workload_tables.clear(drilled.cluster, await drilled.wait_healthy(HEALTHY_SECONDS))

    async def _standbys(self, drilled: DrilledCluster, primary: str) -> list[str]:
        """Return the standbys, those that do not answer first, so that the primary always has one."""
        names = [node.name for node in drilled.spec.nodes if node.name != primary]
        seen = [
            await snapshot.observe(postgres.query(drilled.cluster.node(name), "SELECT 1", drilled.spec.timeouts.query))
            for name in names
        ]
        return [name for _, name in sorted(zip([one.is_known for one in seen], names, strict=True))]


def _quoted(drilled: DrilledCluster) -> str:
    """Return the application's role, quoted; its name has only letters, digits and underscores (model/spec.py)."""
    return f'"{drilled.spec.roles.app}"'
