#!/bin/sh
# Reads entries of pool_passwd from standard input and prints "user:" with the password in base64 for each AES entry that
# the cluster's key opens, as Pgpool itself derives key and IV (EVP_BytesToKey, SHA-1, no salt; Pgpool-II 4.6,
# ssl_utils.c). Nothing is written to disk and no password is in an argument list.
set -eu

open() {
    printf '%s' "$1" | openssl enc -d -aes-256-cbc -md sha1 -nosalt -a -A -pass file:/run/pool/pool_key 2>/dev/null
}

grep '^[a-z_][a-z0-9_]*:AES' | while IFS=: read -r user entry; do
    # A wrong key shows in the exit code only: what comes out then is garbage.
    if open "${entry#AES}" > /dev/null; then
        printf '%s:%s\n' "$user" "$(open "${entry#AES}" | base64 -w 0)"
    fi
done
