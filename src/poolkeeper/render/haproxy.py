"""HAProxy's configuration: two doors, the dashboard, and two inner ports that follow the roles."""

from __future__ import annotations

from poolkeeper.model import proxies
from poolkeeper.model.spec import ClusterSpec
from poolkeeper.render import patroni, templating

# A connection attempt to a node, in ms; measured: after a refusal HAProxy 3.0 waits this long, at most a second.
INNER_CONNECT_MS = 500


def config(spec: ClusterSpec) -> str:
    """`haproxy.cfg`. The dashboard's password is an environment variable that the container's entry point sets."""
    lanes = [("rw", spec.lanes.rw), ("ro", spec.lanes.ro)]
    return templating.fill(
        "haproxy.cfg.j2",
        spec=spec,
        door=spec.haproxy,
        lanes=lanes,
        spare=proxies.SPARE_CHILDREN,
        rest_port=patroni.REST_PORT,
        inner_connect_ms=min(INNER_CONNECT_MS, spec.haproxy.connect_timeout_ms),
        fallback=proxies.fallback if spec.keeper.read_fallback == "primary" else None,
        max_sessions=sum(2 * lane.num_init_children for _, lane in lanes) + 4096,
    )
