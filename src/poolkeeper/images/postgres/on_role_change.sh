#!/bin/bash
# Patroni's callback (ACTION ROLE CLUSTER). A replica may serve the read-only endpoint again. A primary that was
# restarted in place may get sessions again. HAProxy's own checks still decide. Where HAProxy does not answer, keeper
# repeats the first command later, and the announcement that `stay` ends expires.
case ${2:-} in
    replica) haproxy_node.sh ready ;;
    primary | master) haproxy_node.sh stay ;;
esac
exit 0
