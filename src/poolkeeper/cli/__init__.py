"""The command line: one thin file a command group. It parses, calls, prints; it decides nothing."""
