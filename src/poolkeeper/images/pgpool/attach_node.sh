#!/bin/sh
# Has Pgpool use the backend of index $1 again. Who calls this has made sure that the node is fit.
set -eu

PCPPASSFILE=/run/pgpool/pcppass exec pcp_attach_node -h /run/pgpool -p "$POOLKEEPER_PCP_PORT" -U "$POOLKEEPER_PCP_USER" \
    -w -n "$1"
