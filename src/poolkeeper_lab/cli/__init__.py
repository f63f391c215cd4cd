"""The proof's commands: `drill`, `chaos` and `bench`, registered with `poolkeeper` by entry points."""
