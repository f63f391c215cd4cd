#!/bin/sh
# The sample failover.sh of Pgpool-II with one difference: where that logs in to the new primary by ssh to run
# `pg_ctl promote`, this asks that server itself (pg_promote). Same arguments, same cases.
# 1 failed node's id, 2 its host, 5 new main node's id, 6 its host, 8 old primary's id, 11 its host
set -u
failed=$1 failed_host=$2 new=$5 new_host=$6 primary=$8
shift 9
primary_host=$2
if [ "$new" -lt 0 ]; then
    echo "failover.sh: all nodes are down"
    exit 0
fi
if [ "$primary" != -1 ] && [ "$failed" != "$primary" ]; then
    psql -X -q -h "$primary_host" -U postgres postgres -c "SELECT pg_drop_replication_slot('$failed_host')" > /dev/null 2>&1 \
        || echo "failover.sh: the slot $failed_host could not be dropped"
    exit 0
fi
echo "failover.sh: promotes $new_host"
psql -X -q -v ON_ERROR_STOP=1 -h "$new_host" -U postgres postgres -c "SELECT pg_promote(true, 60)"
