#!/bin/bash
# Patroni's callback (ACTION ROLE CLUSTER). A replica may serve the read-only endpoint again; a primary that was restarted in
# place may be given sessions again. HAProxy's own checks still decide; a HAProxy that does not answer is told of the
# first by keeper later, and forgets the second by itself.
case ${2:-} in
    replica) haproxy_node.sh ready ;;
    primary | master) haproxy_node.sh stay ;;
esac
exit 0
