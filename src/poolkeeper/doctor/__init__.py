"""The `doctor` command: collect facts from a running cluster, and evaluate them by the rules in `rules/`."""
