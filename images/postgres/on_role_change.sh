#!/bin/bash
# Patroni's callback (ACTION ROLE CLUSTER): a replica may serve the read-only lane again. HAProxy's own check still
# decides whether it does; a HAProxy that does not answer is told by keeper later.
if [ "${2:-}" = replica ]; then
    door.sh ready
fi
exit 0
