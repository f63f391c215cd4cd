"""The judges of `doctor`: collected facts → what limits a running cluster now. No I/O."""
