"""The live self-test: mutants, injected one at a time in a running cluster, and the checkers that catch them."""
