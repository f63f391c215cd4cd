#!/bin/sh
# Reads the secrets as root, then becomes the keeper as a user without any capability.
set -eu

POOLKEEPER_PCP_PASSWORD=$(cat /run/secrets/pcp)
POOLKEEPER_CHECK_PASSWORD=$(cat /run/secrets/check)
export POOLKEEPER_PCP_PASSWORD POOLKEEPER_CHECK_PASSWORD
exec setpriv --reuid=poolkeeper --regid=poolkeeper --clear-groups --no-new-privs \
    python3 -m poolkeeper.keeper /etc/poolkeeper/cluster.json
