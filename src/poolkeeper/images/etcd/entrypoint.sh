#!/bin/sh
# Prepares the volume as root, then becomes etcd as the user etcd.
set -eu

install -d -o etcd -g etcd -m 0700 /var/lib/etcd/data
exec setpriv --reuid=etcd --regid=etcd --init-groups etcd --config-file /etc/poolkeeper/etcd.yml
