"""The command line: one thin file a command group. It parses, calls, prints; it decides nothing.

A command imports what only it needs inside its function, so that every other one starts without it.
"""
