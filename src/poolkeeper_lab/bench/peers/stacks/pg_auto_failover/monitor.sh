#!/bin/sh
# The monitor: `pg_autoctl create monitor`, then `run`, as the tutorial does it.
set -eu
data=/var/lib/postgresql/data
install -d -o postgres -g postgres -m 0700 "$data"
install -d -o postgres -g postgres -m 0775 /var/run/postgresql
as_postgres() { setpriv --reuid=postgres --regid=postgres --init-groups env HOME="$data" PGDATA="$data/pgdata" "$@"; }
if [ ! -e "$data/pgdata/PG_VERSION" ]; then
    as_postgres pg_autoctl create monitor --hostname "$(hostname)" --no-ssl --auth trust --pgport 5432
fi
exec setpriv --reuid=postgres --regid=postgres --init-groups env HOME="$data" PGDATA="$data/pgdata" pg_autoctl run
