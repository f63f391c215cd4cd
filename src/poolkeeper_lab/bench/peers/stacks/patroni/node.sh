#!/bin/sh
# Patroni's sample configuration (postgres0.yml) with this bench's names, timings and passwords.
set -eu
me=$(hostname)
case $MEMBERS_BY in
    name) address=$me ;;
    *) address=$(hostname -i) ;;
esac
data=/var/lib/postgresql/data
install -d -o postgres -g postgres -m 0700 "$data" /run/patroni
install -d -o postgres -g postgres -m 0775 /var/run/postgresql
sed -e "s/@TTL@/$TTL/; s/@LOOP_WAIT@/$LOOP_WAIT/; s/@RETRY_TIMEOUT@/$RETRY_TIMEOUT/" /peer/patroni.yml > /run/patroni/patroni.yml
install -o postgres -g postgres -m 0400 /run/secrets/app /run/patroni/app
export PATRONI_NAME="$me"
export PATRONI_RESTAPI_LISTEN=0.0.0.0:8008 PATRONI_RESTAPI_CONNECT_ADDRESS="$address:8008"
export PATRONI_POSTGRESQL_LISTEN=0.0.0.0:5432 PATRONI_POSTGRESQL_CONNECT_ADDRESS="$address:5432"
export PATRONI_POSTGRESQL_DATA_DIR="$data/pgdata" PATRONI_POSTGRESQL_BIN_DIR="/usr/lib/postgresql/$PG_MAJOR/bin"
export PATRONI_POSTGRESQL_PGPASS=/run/patroni/pgpass
export PATRONI_SUPERUSER_USERNAME=postgres PATRONI_REPLICATION_USERNAME=replicator
PATRONI_SUPERUSER_PASSWORD=$(cat /run/secrets/superuser)
PATRONI_REPLICATION_PASSWORD=$(cat /run/secrets/replication)
export PATRONI_SUPERUSER_PASSWORD PATRONI_REPLICATION_PASSWORD
exec setpriv --reuid=postgres --regid=postgres --init-groups patroni /run/patroni/patroni.yml
