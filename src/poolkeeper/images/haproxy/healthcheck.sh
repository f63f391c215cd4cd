#!/bin/sh
# Healthy: HAProxy serves its statistics, and they have a row of the read-write endpoint.
set -eu

port=$POOLKEEPER_STATS_PORT
{ printf 'user = "%s:' "$POOLKEEPER_STATS_USER"; tr -d '\n' < /run/secrets/stats; printf '"\n'; } \
    | curl -fsS --max-time 4 --config - "http://127.0.0.1:$port/;csv" | grep -q '^rw,FRONTEND,'
