"""The results of chaos runs, campaigns and self-tests as values, and their reports."""
