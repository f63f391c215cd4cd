#!/bin/sh
# Reads "user:password" lines from standard input and prints them as entries of pool_passwd, AES-encrypted with the
# cluster's key. No password is in an argument list or remains on disk.
set -eu

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
umask 077
cat > "$work/users"
install -m 0600 /run/pool/pool_key "$work/key"
: > "$work/pool_passwd"
printf "pool_passwd = 'pool_passwd'\n" > "$work/pgpool.conf"
pg_enc -m -k "$work/key" -f "$work/pgpool.conf" -i "$work/users" >&2
cat "$work/pool_passwd"
