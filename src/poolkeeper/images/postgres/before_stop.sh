#!/bin/bash
# Patroni's before_stop: from now on new sessions of writers wait at HAProxy, instead of reaching a server that shuts
# down. Then this script stops PostgreSQL and returns when it has ended. Patroni checks only once a second, and then
# waits one more before it releases the lease; it now finds PostgreSQL stopped and releases the lease at once.
#
# A fast stop ends every session first and waits for the standbys to have all of the WAL. Where that takes longer than
# three seconds (a standby that does not answer), or fails, Patroni continues the stop in its own way.
#
# A server that takes no sessions is left to Patroni, which means to stop it at once. A fast stop during crash recovery
# would write "shut down in recovery" to the control file, without the position up to which there is WAL. pg_rewind then
# takes the last checkpoint for the end of the WAL, finds nothing to rewind, and the node follows a history that it can
# never join.
haproxy_node.sh leave
sleep 0.1 # a session accepted just before ends its start-up, which takes 10 ms and cannot be observed from here
pg_isready -q -t 1 || exit 0
pg_ctl stop -D "${POOLKEEPER_DATA:-/var/lib/postgresql/data/pgdata}" -m fast -s -t 3 2> /dev/null
exit 0
