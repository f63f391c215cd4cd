#!/bin/sh
# PgBouncer, every setting at its default but those below.
set -eu
install -d -o postgres -g postgres -m 0700 /run/pgbouncer
printf '"%s" "%s"\n' "$ROLE" "$(cat /run/secrets/app)" > /run/pgbouncer/userlist.txt
cat > /run/pgbouncer/pgbouncer.ini <<INI
[databases]
$DATABASE = host=${SERVER%:*} port=${SERVER##*:} dbname=$DATABASE

[pgbouncer]
listen_addr = *
listen_port = 6432
auth_type = scram-sha-256
auth_file = /run/pgbouncer/userlist.txt
pool_mode = $POOL_MODE
; as many server connections as an endpoint of the cluster has sessions, and room for every client of the bench
default_pool_size = $POOL_SIZE
max_client_conn = 3000
INI
chown -R postgres:postgres /run/pgbouncer
chmod 0600 /run/pgbouncer/*
exec setpriv --reuid=postgres --regid=postgres --init-groups pgbouncer -q /run/pgbouncer/pgbouncer.ini
