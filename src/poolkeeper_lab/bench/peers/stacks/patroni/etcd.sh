#!/bin/sh
# One member of the store; a static cluster of three (etcd's "Clustering Guide"), everything else at its default.
set -eu
me=$(hostname)
exec etcd --name "$me" --data-dir /var/lib/etcd/data \
    --listen-client-urls http://0.0.0.0:2379 --advertise-client-urls "http://$me:2379" \
    --listen-peer-urls http://0.0.0.0:2380 --initial-advertise-peer-urls "http://$me:2380" \
    --initial-cluster etcd1=http://etcd1:2380,etcd2=http://etcd2:2380,etcd3=http://etcd3:2380 \
    --initial-cluster-token peer --initial-cluster-state new
