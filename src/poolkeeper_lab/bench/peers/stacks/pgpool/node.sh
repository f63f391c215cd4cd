#!/bin/sh
# A node of plain streaming replication, as in the configuration example of Pgpool-II's manual: node1 is initialized, the
# others are its base backups with a slot each. PostgreSQL is started once in a start of the container.
set -eu
me=$(hostname)
data=/var/lib/postgresql/data
bin=/usr/lib/postgresql/$PG_MAJOR/bin
export HOME=/var/lib/postgresql PGDATA="$data/pgdata"
install -d -o postgres -g postgres -m 0700 "$data"
install -d -o postgres -g postgres -m 0775 /var/run/postgresql
as_postgres() { setpriv --reuid=postgres --regid=postgres --init-groups "$@"; }

if [ ! -e "$PGDATA/PG_VERSION" ] && [ "$me" = node1 ]; then
    as_postgres "$bin/initdb" -D "$PGDATA" --data-checksums --encoding UTF8 --auth-local trust --auth-host scram-sha-256 > /dev/null
    cat /peer/postgresql.conf >> "$PGDATA/postgresql.conf"
    printf 'host replication replicator 0.0.0.0/0 scram-sha-256\nhost all all 0.0.0.0/0 scram-sha-256\n' >> "$PGDATA/pg_hba.conf"
    as_postgres "$bin/pg_ctl" -D "$PGDATA" -w -o "-c listen_addresses=''" start > /dev/null
    as_postgres psql -X -q -v ON_ERROR_STOP=1 <<SQL
ALTER ROLE postgres PASSWORD '$(cat /run/secrets/superuser)';
CREATE ROLE replicator REPLICATION LOGIN PASSWORD '$(cat /run/secrets/replication)';
CREATE ROLE app LOGIN PASSWORD '$(cat /run/secrets/app)';
CREATE DATABASE app OWNER app;
SELECT pg_create_physical_replication_slot(s) FROM unnest(ARRAY['node2', 'node3']) AS s;
SQL
    as_postgres "$bin/pg_ctl" -D "$PGDATA" -w -m fast stop > /dev/null
elif [ ! -e "$PGDATA/PG_VERSION" ]; then
    until pg_isready -q -h node1; do sleep 0.3; done
    source="host=node1 user=replicator password=$(cat /run/secrets/replication) application_name=$me"
    printf '%s' "$source" | as_postgres sh -c "$bin/pg_basebackup -d \"\$(cat)\" -D $PGDATA -R -S $me -c fast"
fi
as_postgres "$bin/pg_ctl" -D "$PGDATA" -w -l "$data/server.log" start
exec sleep infinity # if the server ends, the container keeps running, as a machine would
