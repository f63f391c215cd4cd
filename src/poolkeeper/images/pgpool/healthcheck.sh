#!/bin/sh
# Healthy: a query of the role of the checks goes through Pgpool-II to a server and back.
set -eu

pass=/run/pgpool/healthcheck.pgpass
umask 077
{ printf '127.0.0.1:9999:*:%s:' "$POOLKEEPER_CHECK_ROLE"; tr -d '\n' < /run/secrets/check; echo; } > "$pass"
answer=$(PGPASSFILE=$pass PGCONNECT_TIMEOUT=4 psql -X -A -t -q -h 127.0.0.1 -p 9999 -U "$POOLKEEPER_CHECK_ROLE" \
    -d postgres -c 'SELECT 1')
[ "$answer" = 1 ]
