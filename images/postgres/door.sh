#!/bin/bash
# door.sh drain|ready: tells HAProxy's runtime API whether this node may serve the read-only lane. Without an answer it
# gives up after a second: a name that does not resolve, or a refused connection, ends it in milliseconds.
server=standbys/$POOLKEEPER_NODE
commands="set server $server state $1"
# Twice: a session that was being given to this node at that instant is caught by the second.
[ "$1" = drain ] && commands="$commands; shutdown sessions server $server; shutdown sessions server $server"
export commands host=${POOLKEEPER_DOOR%:*} port=${POOLKEEPER_DOOR##*:}
# /dev/tcp: bash's own, so no program has to be started but the clock.
timeout 1 bash -c 'exec 3<> "/dev/tcp/$host/$port" && echo "$commands" >&3 && cat <&3' 2> /dev/null
code=$?
[ $code = 0 ] || echo "HAProxy at $POOLKEEPER_DOOR did not take \"$commands\" ($code)"
exit 0
