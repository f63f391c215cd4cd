#!/bin/sh
# The sample follow_primary.sh in SQL instead of ssh: it points a running standby at its new primary, and attaches it
# again. The sample stops, rewinds and starts it, which needs a login on that machine. So a diverged standby and the former
# primary are left to the operator (pcp_recovery_node).
# 1 node's id, 2 its host, 6 new primary's host
set -u
id=$1 host=$2 primary=$6
if ! pg_isready -q -h "$host"; then
    echo "follow_primary.sh: $host does not run"
    exit 0
fi
if [ "$(psql -XAtq -h "$host" -U postgres postgres -c 'SELECT pg_is_in_recovery()')" != t ]; then
    echo "follow_primary.sh: $host is no standby; it would have to be rewound"
    exit 1
fi
psql -X -q -h "$primary" -U postgres postgres -c "SELECT pg_create_physical_replication_slot('$host')" > /dev/null 2>&1 \
    || echo "follow_primary.sh: the slot $host is there"
password=$(cat /run/pgpool/replication)
psql -X -q -v ON_ERROR_STOP=1 -h "$host" -U postgres postgres <<SQL || exit 1
ALTER SYSTEM SET primary_conninfo = 'host=$primary user=replicator password=$password application_name=$host';
SELECT pg_reload_conf();
SQL
PCPPASSFILE=/run/pgpool/pcppass pcp_attach_node -w -h localhost -p 9898 -U pcp -n "$id"
