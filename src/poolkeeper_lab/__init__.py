"""The proof of Poolkeeper: faults, drill, chaos and benchmarks. It imports the product, never the reverse."""
