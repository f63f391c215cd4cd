#!/bin/bash
# haproxy_node.sh COMMAND: what HAProxy's runtime API is told about this node.
#   drain  it may not serve the read-only endpoint, and its sessions there end      ready  it may again
#   leave  it stops now, so new sessions wait for the next primary              stay   it did not after all
# Without an answer it gives up after a second: a name that does not resolve, or a refused connection, ends it in
# milliseconds.
LEAVE_MS=5000 # longer than HAProxy needs to see by its own checks that this is no primary any more
reader=standbys/$POOLKEEPER_NODE
writer="primary $POOLKEEPER_NODE"
case $1 in
    # Twice: a session that was being given to this node at that instant is caught by the second.
    drain) commands="set server $reader state drain; shutdown sessions server $reader; shutdown sessions server $reader" ;;
    ready) commands="set server $reader state ready" ;;
    leave) commands="poolkeeper leave $writer $LEAVE_MS" ;;
    stay) commands="poolkeeper leave $writer 0" ;;
esac
export commands host=${POOLKEEPER_HAPROXY%:*} port=${POOLKEEPER_HAPROXY##*:}
# /dev/tcp: bash's own, so no program has to be started but the clock.
timeout 1 bash -c 'exec 3<> "/dev/tcp/$host/$port" && echo "$commands" >&3 && cat <&3' 2> /dev/null
code=$?
[ $code = 0 ] || echo "HAProxy at $POOLKEEPER_HAPROXY did not take \"$commands\" ($code)"
exit 0
