#!/bin/bash
# haproxy_node.sh COMMAND: sends a command about this node to HAProxy's runtime API.
#   drain  it leaves the read-only endpoint, and its sessions there end      ready  it returns there
#   leave  it stops now, so new sessions wait for the next primary           stay   it did not stop
# Without an answer this script gives up after a second: a name that does not resolve, or a refused connection, ends it
# in milliseconds.
LEAVE_MS=5000 # longer than HAProxy's own checks need to find that this node is no longer primary
reader=standbys/$POOLKEEPER_NODE
writer="primary $POOLKEEPER_NODE"
case $1 in
    # Twice: the second one ends a session that HAProxy was giving to this node at that instant.
    drain) commands="set server $reader state drain; shutdown sessions server $reader; shutdown sessions server $reader" ;;
    ready) commands="set server $reader state ready" ;;
    leave) commands="poolkeeper leave $writer $LEAVE_MS" ;;
    stay) commands="poolkeeper leave $writer 0" ;;
esac
export commands host=${POOLKEEPER_HAPROXY%:*} port=${POOLKEEPER_HAPROXY##*:}
# /dev/tcp is bash's own, so `timeout` is the only program to start.
timeout 1 bash -c 'exec 3<> "/dev/tcp/$host/$port" && echo "$commands" >&3 && cat <&3' 2> /dev/null
code=$?
[ $code = 0 ] || echo "HAProxy at $POOLKEEPER_HAPROXY did not take \"$commands\" ($code)"
exit 0
