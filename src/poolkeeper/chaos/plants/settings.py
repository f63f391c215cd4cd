"""Bugs of the configuration, planted by the cluster's own ways: SQL, as somebody who may do it would."""

from __future__ import annotations

from poolkeeper import errors, observe
from poolkeeper.chaos.plants.change import Change
from poolkeeper.decide import health
from poolkeeper.drill.site import Site
from poolkeeper.system import postgres

_HAS = (
    "SELECT entry FROM pg_db_role_setting JOIN pg_roles ON pg_roles.oid = setrole, unnest(setconfig) AS entry "
    "WHERE rolname = '{role}' AND entry LIKE '{parameter}=%'"
)
_END = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = '{role}'"


class RoleSetting(Change):
    """`ALTER ROLE … SET` for the application's role. Its open sessions are ended: they keep what they began with."""

    def __init__(self, parameter: str, value: str) -> None:
        self.parameter, self.value = parameter, value

    async def apply(self, site: Site) -> None:
        """Raises OperationRefused where the role has such a setting of its own, which would be lost."""
        if await self.is_there(site):
            raise errors.OperationRefused(f"the role {site.spec.roles.app} has its own {self.parameter}; it is left")
        await self._change(site, f"ALTER ROLE {_quoted(site)} SET {self.parameter} = '{self.value}'")

    async def take_away(self, site: Site) -> None:
        if f"{self.parameter}={self.value}" in await self._entries(site):
            await self._change(site, f"ALTER ROLE {_quoted(site)} RESET {self.parameter}")

    async def is_there(self, site: Site) -> bool:
        return bool(await self._entries(site))

    async def _entries(self, site: Site) -> list[str]:
        rows = await self._ask(site, _HAS.format(role=site.spec.roles.app, parameter=self.parameter))
        return [str(entry) for (entry,) in rows]

    async def _change(self, site: Site, statement: str) -> None:
        await self._ask(site, statement)
        for node in site.spec.nodes:
            end = _END.format(role=site.spec.roles.app)
            await postgres.query(site.access.node(node.name, "superuser"), end, site.spec.timeouts.query)

    async def _ask(self, site: Site, statement: str) -> list[postgres.Row]:
        primary = health.assess(site.spec, await observe.snapshot(site.access)).primary
        if primary is None:
            raise errors.ClusterNotUp("no node is primary")
        return await postgres.query(site.access.node(primary, "superuser"), statement, site.spec.timeouts.query)


def _quoted(site: Site) -> str:
    """The names of roles are letters, digits and underscores (model/spec.py)."""
    return f'"{site.spec.roles.app}"'
