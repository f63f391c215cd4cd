"""The benchmarks: real commands in several rounds, reported as medians beside a yardstick of the same run."""
