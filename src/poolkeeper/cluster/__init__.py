"""One cluster as the product handles it: its handle, its snapshot, its start, and the steps of a plan."""
