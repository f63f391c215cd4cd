#!/bin/sh
# PgBouncer, every setting at its default but those below. In $DATABASE a session goes to the primary itself, in
# ${DATABASE}_routed by the cluster's inner port that follows the primary, as the read-write lane's Pgpool-II does.
set -eu
install -d -o postgres -g postgres -m 0700 /run/pgbouncer
printf '"%s" "%s"\n' "$APP_ROLE" "$(cat /run/secrets/app)" > /run/pgbouncer/userlist.txt
host() { printf '%s' "${1%:*}"; }
port() { printf '%s' "${1##*:}"; }
cat > /run/pgbouncer/pgbouncer.ini <<INI
[databases]
$DATABASE = host=$(host "$SERVER") port=$(port "$SERVER") dbname=$DATABASE
${DATABASE}_routed = host=$(host "$ROUTED") port=$(port "$ROUTED") dbname=$DATABASE

[pgbouncer]
listen_addr = *
listen_port = 6432
auth_type = scram-sha-256
auth_file = /run/pgbouncer/userlist.txt
pool_mode = $POOL_MODE
; as many server connections as a lane of ours has sessions, and room for every client of the bench
default_pool_size = $POOL_SIZE
max_client_conn = 3000
INI
chown -R postgres:postgres /run/pgbouncer
chmod 0600 /run/pgbouncer/*
exec setpriv --reuid=postgres --regid=postgres --init-groups pgbouncer -q /run/pgbouncer/pgbouncer.ini
