#!/bin/sh
# Reads the secrets as root, then becomes the supervisor as the user postgres, which starts Patroni. Patroni removes the
# PATRONI_* variables from its environment before it starts PostgreSQL.
set -eu

data=/var/lib/postgresql/data
install -d -o postgres -g postgres -m 0700 "$data"
install -d -o postgres -g postgres -m 0775 /var/run/postgresql
if [ -n "${POOLKEEPER_SOCKETS:-}" ]; then
    install -d -o postgres -g postgres -m 0755 "$POOLKEEPER_SOCKETS"
    rm -f "$POOLKEEPER_SOCKETS"/.s.PGSQL.* # the lock of a killed server may name a number of another process
fi

secret() { cat "/run/secrets/$1"; }
PATRONI_SUPERUSER_PASSWORD=$(secret superuser)
PATRONI_REPLICATION_PASSWORD=$(secret replication)
PATRONI_REWIND_PASSWORD=$(secret rewind)
PATRONI_RESTAPI_PASSWORD=$(secret rest)
export PATRONI_SUPERUSER_PASSWORD PATRONI_REPLICATION_PASSWORD PATRONI_REWIND_PASSWORD PATRONI_RESTAPI_PASSWORD
# post_bootstrap.sh runs as postgres; it needs these three once, on the first primary.
install -d -o postgres -g postgres -m 0700 /run/poolkeeper
for name in check app rewind; do
    install -o postgres -g postgres -m 0400 "/run/secrets/$name" "/run/poolkeeper/$name"
done

postgres() { exec setpriv --reuid=postgres --regid=postgres --init-groups "$@"; }
if [ "${1:-}" = validate ]; then
    postgres patroni --validate-config /etc/poolkeeper/patroni.yml
fi
read -r incarnation < /proc/sys/kernel/random/uuid
# -I -S: no environment variables, no site packages; it starts in a third of the time.
postgres python3 -I -S /usr/local/lib/poolkeeper/supervisor.py --node "$POOLKEEPER_NODE" --incarnation "$incarnation"
