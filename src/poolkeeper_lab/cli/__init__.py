"""Commands of the proof: `drill`, `chaos` and `bench`, registered with `poolkeeper` by entry points."""
