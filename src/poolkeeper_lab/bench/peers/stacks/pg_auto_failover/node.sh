#!/bin/sh
# A node: `pg_autoctl create postgres`, then `run`. Parts trust one another inside this network, as in the project's own
# Compose file; clients have a password. node1 comes first, so that it is the first primary.
set -eu
me=$(hostname)
data=/var/lib/postgresql/data
install -d -o postgres -g postgres -m 0700 "$data"
install -d -o postgres -g postgres -m 0775 /var/run/postgresql
export HOME="$data" PGDATA="$data/pgdata"
as_postgres() { setpriv --reuid=postgres --regid=postgres --init-groups "$@"; }
monitor=postgresql://autoctl_node@monitor:5432/pg_auto_failover?sslmode=disable
until pg_isready -q -h monitor -p 5432 -d pg_auto_failover; do sleep 0.2; done
known() { psql -XAtqc "SELECT count(*) FROM pgautofailover.node WHERE reportedstate IN ('single', 'wait_primary', 'primary')" "$monitor" 2>/dev/null; }
if [ ! -e "$PGDATA/PG_VERSION" ]; then
    [ "$me" = node1 ] || until [ "$(known)" = 1 ]; do sleep 0.5; done
    as_postgres pg_autoctl create postgres --name "$me" --hostname "$me" --pgport 5432 --monitor "$monitor" \
        --no-ssl --auth trust --pg-hba-lan --username app --dbname app
fi
exec setpriv --reuid=postgres --regid=postgres --init-groups pg_autoctl run
