"""The `test` command: the validation suite, its checks, the readings that they need, and its reports."""
