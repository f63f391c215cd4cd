"""What measures speed: real commands, several runs, medians, beside a yardstick of the same run."""
