#!/bin/sh
# Copies the rendered files and the secrets to a folder that Pgpool-II, as the user postgres, can read.
# Runs as root, at start and before each reload.
set -eu

run=/run/pgpool
install -d -o postgres -g postgres -m 0700 "$run"
for file in pgpool.conf pool_hba.conf; do
    install -o postgres -g postgres -m 0600 "/etc/poolkeeper/$file" "$run/$file"
done
install -o postgres -g postgres -m 0600 /run/pool/pool_passwd "$run/pool_passwd"
install -o postgres -g postgres -m 0600 /run/pool/pool_key "$run/pool_key"
pcp_hash=$(tr -d '\n' < /run/secrets/pcp | md5sum | cut -d' ' -f1)
umask 077
printf '%s:%s\n' "$POOLKEEPER_PCP_USER" "$pcp_hash" > "$run/pcp.conf"
chown postgres:postgres "$run/pcp.conf"
{ printf '*:*:%s:' "$POOLKEEPER_PCP_USER"; tr -d '\n' < /run/secrets/pcp; echo; } > "$run/pcppass"
