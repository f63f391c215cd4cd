#!/bin/bash
# Healthy: PostgreSQL answers a query of the role of the checks, and Patroni reports that PostgreSQL runs.
set -eu

pass=/run/poolkeeper/healthcheck.pgpass
umask 077
{ printf '127.0.0.1:5432:*:%s:' "$POOLKEEPER_CHECK_ROLE"; tr -d '\n' < /run/secrets/check; echo; } > "$pass"
answer=$(PGPASSFILE=$pass PGCONNECT_TIMEOUT=4 psql -X -A -t -q -h 127.0.0.1 -U "$POOLKEEPER_CHECK_ROLE" -d postgres \
    -c 'SELECT 1')
[ "$answer" = 1 ]
exec 3<> /dev/tcp/127.0.0.1/8008 # the image has no HTTP client, and Python would cost more than the query
printf 'GET /health HTTP/1.0\r\n\r\n' >&3
read -r -t 3 _ status _ <&3
cat <&3 > /dev/null # to the end: Patroni logs an error when it answers on a closed connection
[ "$status" = 200 ]
