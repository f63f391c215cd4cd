"""Load on a cluster's endpoints: pgbench, its database and clients."""
