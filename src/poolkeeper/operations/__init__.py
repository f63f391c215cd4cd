"""The operations: one file for each command, named after it, and the parts that several of them share.

A command's file holds all of its behaviour; `cli/` parses the command line, calls it and prints the result. Shared
parts: `operation` (steps, preconditions, the wait at the end), `connection_probe`, and `user_access`. Two commands have
a package of their own: `test` is `suite/test.py`, and `doctor` is `doctor/`.
"""
