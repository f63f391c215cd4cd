#!/bin/sh
# Healthy: a linearizable read, which needs a quorum, is answered.
set -eu

ETCDCTL_API=3 exec etcdctl --endpoints=http://127.0.0.1:2379 --command-timeout=4s get poolkeeper-health
