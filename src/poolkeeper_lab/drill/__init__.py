"""The drill: inject faults into a running cluster, and measure their effect on clients."""
