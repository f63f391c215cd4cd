"""Pure values: the declared cluster, observations, plans and verdicts. Nothing here does I/O."""
