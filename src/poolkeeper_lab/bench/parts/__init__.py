"""The parts of the benchmark, one file each, with their figures."""
