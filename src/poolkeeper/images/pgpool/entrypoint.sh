#!/bin/sh
# Installs configuration and secrets as root, then becomes Pgpool-II as the user postgres. Pgpool-II discards its saved
# node states (-D): only the nodes' present answers count.
set -eu

take_config.sh
install -d -o postgres -g postgres -m 0775 /var/run/postgresql
if [ -n "${POOLKEEPER_SOCKETS:-}" ]; then
    install -d -o postgres -g postgres -m 0755 "$POOLKEEPER_SOCKETS"
    rm -f "$POOLKEEPER_SOCKETS"/.s.PGSQL.*
fi
rm -f /run/pgpool/pgpool.pid /run/pgpool/.s.PGSQL.* /run/pgpool/.s.PGPOOL*
PGPOOLKEYFILE=/run/pgpool/pool_key
export PGPOOLKEYFILE
batch=
if [ -n "${POOLKEEPER_BATCH:-}" ]; then
    if chrt --batch 0 true; then batch='chrt --batch 0'; else echo "Pgpool-II starts without SCHED_BATCH" >&2; fi
fi
# shellcheck disable=SC2086 # several words, or none
exec setpriv --reuid=postgres --regid=postgres --init-groups $batch \
    pgpool -n -D -f /run/pgpool/pgpool.conf -a /run/pgpool/pool_hba.conf -F /run/pgpool/pcp.conf
