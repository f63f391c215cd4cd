#!/bin/sh
# Attaches the backend of index $1 to Pgpool-II. The caller has checked that the node is eligible.
set -eu

PCPPASSFILE=/run/pgpool/pcppass exec pcp_attach_node -h /run/pgpool -p "$POOLKEEPER_PCP_PORT" -U "$POOLKEEPER_PCP_USER" \
    -w -n "$1"
