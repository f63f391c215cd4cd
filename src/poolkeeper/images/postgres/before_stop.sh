#!/bin/bash
# Patroni's before_stop: new sessions of writers wait at HAProxy from now on, instead of meeting a server that shuts down.
# Then it stops PostgreSQL itself, and returns when it has ended. Patroni, which looks only once a second and then waits
# one more before it gives the lease up, then finds it gone and gives the lease up at once.
#
# A fast stop ends every session first and waits for the standbys to have all of the WAL. Where that takes longer than
# three seconds (a standby that does not answer), or fails, Patroni stops PostgreSQL in its own way, which goes on from here.
#
# A server that takes no sessions is left to Patroni, which means to stop it at once. A fast stop during crash recovery would
# write "shut down in recovery" to the control file, without the position up to which there is WAL: pg_rewind then takes the
# last checkpoint for the end of it, finds nothing to rewind, and the node follows a history that it cannot join, for ever.
haproxy_node.sh leave
sleep 0.1 # a session that was let in just before is through its start-up, which takes 10 ms and cannot be seen from here
pg_isready -q -t 1 || exit 0
pg_ctl stop -D "${POOLKEEPER_DATA:-/var/lib/postgresql/data/pgdata}" -m fast -s -t 3 2> /dev/null
exit 0
