"""The peers: alternatives to Poolkeeper from distribution packages, and how each is broken and measured."""
