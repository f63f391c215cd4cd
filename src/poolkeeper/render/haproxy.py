"""HAProxy's configuration: two doors, the dashboard, and two inner ports that follow the roles."""

from __future__ import annotations

import jinja2

from poolkeeper.model.spec import ClusterSpec
from poolkeeper.render import patroni

# Children of a lane's Pgpool that HAProxy leaves free: one for its own check, one for somebody who looks after it.
# A full lane then queues at the door instead of failing its check.
SPARE_CHILDREN = 2

_TEMPLATES = jinja2.Environment(
    loader=jinja2.PackageLoader("poolkeeper.render"),
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
    autoescape=False,  # noqa: S701 - a configuration file, not HTML
)


def expected_proxies() -> tuple[tuple[str, str], ...]:
    """Every frontend and backend that must be up: (proxy, FRONTEND or BACKEND)."""
    fronts = tuple((name, "FRONTEND") for name in ("rw", "ro", "stats", "primary", "standbys"))
    backs = tuple((name, "BACKEND") for name in ("lane_rw", "lane_ro", "primary", "standbys"))
    return fronts + backs


def config(spec: ClusterSpec) -> str:
    """`haproxy.cfg`. The dashboard's password is an environment variable that the container's entry point sets."""
    lanes = [("rw", spec.lanes.rw), ("ro", spec.lanes.ro)]
    return _TEMPLATES.get_template("haproxy.cfg.j2").render(
        spec=spec,
        door=spec.haproxy,
        lanes=lanes,
        spare=SPARE_CHILDREN,
        rest_port=patroni.REST_PORT,
        max_sessions=sum(2 * lane.num_init_children for _, lane in lanes) + 4096,
    )
