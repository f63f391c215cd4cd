"""The adapters: one module per counterpart, such as Patroni, etcd, the engine or apt.

Invariant: an adapter translates, and decides nothing about the cluster: it returns values or raises errors, and
`poolkeeper.decide` evaluates them. An adapter may choose only its way to one result: the
etcd member that it asks, the pull or the bootstrap of the base image, or a retry while another apt holds the lock.
Each adapter wraps its counterpart's errors once (`raise … from e`) in the tree of `poolkeeper.core.errors`.
"""
