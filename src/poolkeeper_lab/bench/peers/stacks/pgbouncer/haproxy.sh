#!/bin/sh
# An endpoint like the cluster's: HAProxy by TCP with a PostgreSQL check, for each of the two modes.
set -eu
until getent hosts session > /dev/null && getent hosts transaction > /dev/null; do sleep 0.2; done
exec setpriv --reuid=haproxy --regid=haproxy --init-groups haproxy -W -f /peer/haproxy.cfg
