#!/bin/sh
# Reads entries of pool_passwd from standard input. Prints "user:" with the password in base64 for each AES entry that
# the cluster's key decrypts. Key and IV are derived as in Pgpool-II (EVP_BytesToKey, SHA-1, no salt; Pgpool-II 4.6,
# ssl_utils.c). Nothing is written to disk, and no password is in an argument list.
set -eu

open() {
    printf '%s' "$1" | openssl enc -d -aes-256-cbc -md sha1 -nosalt -a -A -pass file:/run/pool/pool_key 2>/dev/null
}

grep '^[^:]*:AES' | while IFS=: read -r user entry; do
    # Only the exit code shows a wrong key: the output is garbage then.
    if open "${entry#AES}" > /dev/null; then
        printf '%s:%s\n' "$user" "$(open "${entry#AES}" | base64 -w 0)"
    fi
done
