#!/bin/sh
# Patroni's own haproxy.cfg with the three nodes' names; HAProxy resolves them at its start, so it waits for all three.
set -eu
until getent hosts node1 > /dev/null && getent hosts node2 > /dev/null && getent hosts node3 > /dev/null; do sleep 0.2; done
install -d -o haproxy -g haproxy /run/haproxy
sed -e "s/@CHECK@/$CHECK/" /peer/haproxy.cfg > /run/haproxy/haproxy.cfg
exec setpriv --reuid=haproxy --regid=haproxy --init-groups haproxy -W -f /run/haproxy/haproxy.cfg
