"""The only I/O of Poolkeeper: one module a counterpart. Adapters translate; they decide nothing.

Each adapter wraps its counterpart's errors once (`raise … from e`) in the tree of `poolkeeper.core.errors`.
"""
