#!/bin/sh
# Pgpool-II after its manual's configuration example (health check every 5 s, timeout 30 s, 3 retries), without a
# failover_command: repmgr promotes, and the streaming replication check finds the new primary.
set -eu
install -d -o postgres -g postgres /run/pgpool
{
    cat /usr/share/doc/pgpool2/examples/pgpool.conf.sample /peer/pgpool.conf
    printf "sr_check_password = '%s'\nhealth_check_password = '%s'\n" "$(cat /run/secrets/superuser)" "$(cat /run/secrets/superuser)"
} > /run/pgpool/pgpool.conf
printf 'app:%s\npostgres:%s\n' "$(cat /run/secrets/app)" "$(cat /run/secrets/superuser)" | sed 's/:/:TEXT/' > /run/pgpool/pool_passwd
printf 'pcp:%s\n' "$(md5sum < /run/secrets/pcp | cut -d ' ' -f 1)" > /run/pgpool/pcp.conf
printf 'local all all trust\nhost all all 0.0.0.0/0 scram-sha-256\n' > /run/pgpool/pool_hba.conf
printf 'localhost:*:pcp:%s\n' "$(cat /run/secrets/pcp)" > /run/pgpool/pcppass
chown -R postgres:postgres /run/pgpool
chmod 0600 /run/pgpool/*
for node in node1 node2 node3; do until pg_isready -q -h "$node"; do sleep 0.3; done; done
exec setpriv --reuid=postgres --regid=postgres --init-groups \
    pgpool -n -D -f /run/pgpool/pgpool.conf -F /run/pgpool/pcp.conf -a /run/pgpool/pool_hba.conf
