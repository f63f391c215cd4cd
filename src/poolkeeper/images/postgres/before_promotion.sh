#!/bin/bash
# Patroni's pre_promote: takes this node out of the read-only endpoint before it accepts writes, so that no session that
# was given to a standby ever writes. First HAProxy sends no new session here and ends those it has. Then this script
# ends every server process of a session from HAProxy's address, in case HAProxy was not reached. Where HAProxy connects
# through a Unix socket, it ends every local session except the superuser's, as Patroni's are, and replication's.
#
# Always exits with 0, within little more than a second. A refused promotion would leave the cluster without a primary
# for a complete lease. Where HAProxy does not answer it sends no sessions either, or its own check refuses a leader.
haproxy_node.sh drain

names="${POOLKEEPER_HAPROXY_ADDRESS//./\\.}|${POOLKEEPER_HAPROXY%:*}[^ ]*" # a name where log_hostname is on
is_of_the_endpoint() { # TITLE of a server process: postgres: CLUSTER: ROLE DATABASE CLIENT ACTIVITY
    [[ $1 == 'postgres: '* ]] || return 1
    [[ $1 =~ \ ($names)\([0-9]+\) ]] && return 0
    [[ -n ${POOLKEEPER_SOCKETS:-} && $1 == *' [local] '* ]] || return 1
    [[ ! $1 =~ \ (walsender|"$POOLKEEPER_SUPERUSER")\ [^\ ]+\ \[local]\  ]]
}

for file in /proc/[0-9]*/cmdline; do
    title=
    { IFS= read -r -d '' title < "$file"; } 2> /dev/null
    if is_of_the_endpoint "$title"; then
        pid=${file#/proc/}
        kill -TERM "${pid%/cmdline}" 2> /dev/null
    fi
done
exit 0
