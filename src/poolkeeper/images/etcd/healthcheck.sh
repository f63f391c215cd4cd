#!/bin/sh
# Healthy: etcd answers a linearizable read, which needs a quorum.
set -eu

ETCDCTL_API=3 exec etcdctl --endpoints=http://127.0.0.1:2379 --command-timeout=4s get poolkeeper-health
