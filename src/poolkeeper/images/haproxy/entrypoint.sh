#!/bin/sh
# Reads the dashboard's password as root, then becomes HAProxy (master and worker) as the user haproxy. A reload is
# SIGUSR2 to process 1: the old worker keeps its sessions, a new worker accepts the new ones.
set -eu

install -d -o haproxy -g haproxy -m 0750 /run/haproxy
if [ -n "${POOLKEEPER_SOCKETS:-}" ]; then
    install -d -o haproxy -g haproxy -m 0755 "$POOLKEEPER_SOCKETS"
fi
POOLKEEPER_STATS_PASSWORD=$(cat /run/secrets/stats)
export POOLKEEPER_STATS_PASSWORD

if [ "${1:-}" = validate ]; then
    exec setpriv --reuid=haproxy --regid=haproxy --init-groups haproxy -c -f /etc/poolkeeper/haproxy.cfg
fi
batch=
if [ -n "${POOLKEEPER_BATCH:-}" ]; then
    if chrt --batch 0 true; then batch='chrt --batch 0'; else echo "HAProxy starts without SCHED_BATCH" >&2; fi
fi
# shellcheck disable=SC2086 # several words, or none
exec setpriv --reuid=haproxy --regid=haproxy --init-groups $batch haproxy -W -f /etc/poolkeeper/haproxy.cfg
