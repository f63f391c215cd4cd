"""The rules of `doctor`: collected facts → findings, which name the limits of a running cluster now. No I/O."""
