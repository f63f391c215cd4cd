#!/bin/sh
# A node after repmgr's "Quick-start guide" and "repmgrd configuration": node1 is initialized, the others are cloned from it.
# PostgreSQL and repmgrd are started once in a start of the container: Debian's unit of PostgreSQL has no Restart either.
set -eu
me=$(hostname)
id=${me#node}
data=/var/lib/postgresql/data
bin=/usr/lib/postgresql/$PG_MAJOR/bin
export HOME=/var/lib/postgresql PGDATA="$data/pgdata"
install -d -o postgres -g postgres -m 0700 "$data"
install -d -o postgres -g postgres -m 0775 /var/run/postgresql /run/repmgr
as_postgres() { setpriv --reuid=postgres --regid=postgres --init-groups "$@"; }

printf '*:*:*:repmgr:%s\n*:*:*:postgres:%s\n' "$(cat /run/secrets/replication)" "$(cat /run/secrets/superuser)" > "$HOME/.pgpass"
chown postgres:postgres "$HOME/.pgpass"
chmod 0600 "$HOME/.pgpass"
sed -e "s/@ID@/$id/; s/@NAME@/$me/; s|@BIN@|$bin|" /peer/repmgr.conf > /run/repmgr/repmgr.conf

if [ ! -e "$PGDATA/PG_VERSION" ] && [ "$me" = node1 ]; then
    as_postgres "$bin/initdb" -D "$PGDATA" --data-checksums --encoding UTF8 --auth-local trust --auth-host scram-sha-256 > /dev/null
    cat /peer/postgresql.conf >> "$PGDATA/postgresql.conf"
    printf 'host replication repmgr 0.0.0.0/0 scram-sha-256\nhost all all 0.0.0.0/0 scram-sha-256\n' >> "$PGDATA/pg_hba.conf"
    as_postgres "$bin/pg_ctl" -D "$PGDATA" -w -o "-c listen_addresses=''" start > /dev/null
    as_postgres psql -X -q -v ON_ERROR_STOP=1 <<SQL
ALTER ROLE postgres PASSWORD '$(cat /run/secrets/superuser)';
CREATE ROLE repmgr SUPERUSER REPLICATION LOGIN PASSWORD '$(cat /run/secrets/replication)';
CREATE DATABASE repmgr OWNER repmgr;
CREATE ROLE app LOGIN PASSWORD '$(cat /run/secrets/app)';
CREATE DATABASE app OWNER app;
SQL
    as_postgres "$bin/pg_ctl" -D "$PGDATA" -w -m fast stop > /dev/null
elif [ ! -e "$PGDATA/PG_VERSION" ]; then
    registered="SELECT count(*) FROM repmgr.nodes WHERE type = 'primary'"
    until [ "$(as_postgres psql -XAtqc "$registered" "host=node1 user=repmgr dbname=repmgr connect_timeout=2" 2>/dev/null)" = 1 ]; do sleep 0.3; done
    as_postgres "$bin/repmgr" -h node1 -U repmgr -d repmgr -f /run/repmgr/repmgr.conf standby clone --fast-checkpoint
fi
as_postgres "$bin/pg_ctl" -D "$PGDATA" -w -l "$data/server.log" start
if [ "$me" = node1 ]; then
    as_postgres "$bin/repmgr" -f /run/repmgr/repmgr.conf primary register || true # on a later start it is registered
else
    as_postgres "$bin/repmgr" -f /run/repmgr/repmgr.conf standby register --force || true
fi
as_postgres "$bin/repmgrd" -f /run/repmgr/repmgr.conf --daemonize=false || true
exec sleep infinity # repmgrd has ended; the node continues without it, as a machine would
