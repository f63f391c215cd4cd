"""The workloads: what clients ask of the cluster while it is being broken, one file for each checker."""
