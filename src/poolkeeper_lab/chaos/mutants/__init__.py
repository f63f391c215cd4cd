"""The live self-test: bugs that a person might ship, planted one at a time in a running cluster, and who sees them."""
