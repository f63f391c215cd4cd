#!/bin/sh
# patronictl with the password of the REST API: `docker exec -it pg_node1 patronictl list`.
set -eu

PATRONI_RESTAPI_PASSWORD=$(cat /run/secrets/rest)
export PATRONI_RESTAPI_PASSWORD
exec /usr/bin/patronictl -c /etc/poolkeeper/patroni.yml "$@"
