"""The drill: break a running cluster for real, and measure what a client sees."""
