#!/bin/sh
# Healthy: PostgreSQL answers a query of the role of the checks, and Patroni says that it runs it.
set -eu

pass=/run/poolkeeper/healthcheck.pgpass
umask 077
{ printf '127.0.0.1:5432:*:%s:' "$POOLKEEPER_CHECK_ROLE"; tr -d '\n' < /run/secrets/check; echo; } > "$pass"
answer=$(PGPASSFILE=$pass PGCONNECT_TIMEOUT=4 psql -X -A -t -q -h 127.0.0.1 -U "$POOLKEEPER_CHECK_ROLE" -d postgres \
    -c 'SELECT 1')
[ "$answer" = 1 ]
python3 -c 'import urllib.request as u; u.urlopen("http://127.0.0.1:8008/health", timeout=3)'
