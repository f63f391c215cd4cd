"""Replication and the endpoints cut off from one another, silently, with a refusal, or in one direction only.

Invariant: clients connect from the host through the published ports, so they reach both sides of every cut.
"""

from __future__ import annotations

from poolkeeper_lab.chaos.scenarios import ends
from poolkeeper_lab.chaos.scenarios.between import REST, SERVER, cut, refused, reset
from poolkeeper_lab.chaos.scenarios.scenario import BRIEF, INCOMING, NOTHING, OUTGOING, SHORT, WITHIN_LEASE, row
from poolkeeper_lab.chaos.scenarios.targets import (
    BALANCED_ENDPOINT,
    PRIMARY,
    QUORUM_STANDBY,
    RO_ENDPOINT,
    RW_ENDPOINT,
    STANDBY,
    STANDBYS,
)

OF_REPLICATION = (
    row("cut_replication_of_one", cut(QUORUM_STANDBY, ends.NODES, of=SERVER), SHORT, NOTHING)
    >> "A commit must be acknowledged by the other standby when the first one is cut off",
    row("cut_replication_of_both", cut(PRIMARY, ends.NODES, of=SERVER), SHORT, NOTHING)
    >> "A primary whose replication to both standbys is cut must acknowledge nothing meanwhile, and all of it later",
    row("standbys_are_not_heard", cut(PRIMARY, ends.NODES, INCOMING, SERVER), SHORT, NOTHING)
    >> "A primary that receives no acknowledgement must give none, though the standbys have it all",
    row("standbys_do_not_hear", cut(PRIMARY, ends.NODES, OUTGOING, SERVER), SHORT, NOTHING)
    >> "A primary whose WAL does not arrive must acknowledge nothing, though it is answered",
    row("reset_replication", reset(PRIMARY, ends.ONE_NODE, SERVER), SHORT, NOTHING)
    >> "A standby whose connection is reset again and again must lack nothing when it gets one",
    row("cut_primary_from_nodes", cut(PRIMARY, ends.NODES), SHORT, NOTHING)
    >> "A primary that etcd can reach and no other node can must keep its role",
)

OF_ENDPOINTS = (
    row("cut_primary_from_haproxy", cut(PRIMARY, ends.HAPROXY), WITHIN_LEASE, NOTHING)
    >> "A primary that HAProxy cannot reach must keep its role, and lose no write that it acknowledged",
    row("primary_is_not_heard_by_haproxy", cut(PRIMARY, ends.HAPROXY, OUTGOING), SHORT, NOTHING)
    >> "A statement whose answer does not reach HAProxy must take effect once or not at all",
    row("cut_checks_of_primary", cut(PRIMARY, ends.HAPROXY, of=REST), SHORT, NOTHING)
    >> "A primary whose check alone gets no answer for a moment must stay in service throughout",
    row("reset_checks_of_primary", reset(PRIMARY, ends.HAPROXY, REST), WITHIN_LEASE, NOTHING)
    >> "A primary that HAProxy took out by its check must be served again as soon as the check passes",
    row("cut_server_of_primary", cut(PRIMARY, ends.HAPROXY, of=SERVER), SHORT, NOTHING)
    >> "A primary whose check passes and whose server is out of reach must execute no statement twice",
    row("reset_sessions_of_primary", reset(PRIMARY, ends.HAPROXY, SERVER), BRIEF, NOTHING)
    >> "A session that is reset between HAProxy and the primary must leave its transaction complete or not applied",
    row("cut_standby_from_haproxy", cut(STANDBY, ends.HAPROXY), SHORT, NOTHING)
    >> "A standby that HAProxy cannot reach must serve no read that is too old once HAProxy can",
    row("reset_checks_of_standbys", reset(STANDBYS, ends.HAPROXY, REST), WITHIN_LEASE, NOTHING)
    >> "A read-only endpoint whose checks all fail must refuse reads, and serve none that is too old afterwards",
    row("cut_pgpool_from_haproxy", cut(RW_ENDPOINT, ends.HAPROXY), SHORT, NOTHING)
    >> "A statement that waits between HAProxy and Pgpool-II must take effect once or not at all",
    row("refuse_haproxy_to_pgpool", refused(RW_ENDPOINT, ends.HAPROXY), BRIEF, NOTHING)
    >> "An endpoint whose Pgpool-II is refused by HAProxy must serve again as soon as it is not",
    row("cut_pgpool_ro_from_haproxy", cut(RO_ENDPOINT, ends.HAPROXY), SHORT, NOTHING)
    >> "A read that waits between HAProxy and Pgpool-II must not go back in time",
    row("cut_balanced_from_primary", cut(PRIMARY, ends.BALANCED_ENDPOINT), SHORT, NOTHING)
    >> "A balanced endpoint that cannot reach the primary must not treat a standby as the primary",
    row("cut_balanced_from_nodes", cut(BALANCED_ENDPOINT, ends.EVERY_NODE), SHORT, NOTHING)
    >> "A balanced endpoint that cannot reach any node must have all of them again once it can",
)

SCENARIOS = (*OF_REPLICATION, *OF_ENDPOINTS)
