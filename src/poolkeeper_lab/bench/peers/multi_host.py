"""A client that tries several servers until one accepts writes, as libpq does for a list of hosts.

libpq's own non-blocking calls have no timeout for each host, so this module tries the hosts: in their order, for
`HOST_SECONDS` each (the least `connect_timeout` of libpq). It asks for `transaction_read_only`, which is the meaning of
`target_session_attrs=read-write`.
"""

from __future__ import annotations

import time
from dataclasses import replace

from poolkeeper.model.dsn import Dsn
from poolkeeper_lab.drill import link

HOST_SECONDS = 2.0
READ_ONLY = "connect: read-only"


def connect(dsn: Dsn, seconds: float) -> link.Link:
    """Connect to the first of `dsn.host` (separated by commas) that accepts writes.

    Raises:
        link.Failed: if none does; `sent` is False.
    """
    deadline = time.monotonic() + seconds
    failure = link.Failed("connect: lost", "there is no host", sent=False)
    for host in dsn.host.split(","):
        left = min(HOST_SECONDS, deadline - time.monotonic())
        if left <= 0:
            break
        try:
            return _writable(replace(dsn, host=host), left)
        except link.Failed as e:
            failure = link.Failed(e.code, e.text, sent=False)
    raise failure


def _writable(dsn: Dsn, seconds: float) -> link.Link:
    opened = link.connect(dsn, seconds)
    try:
        if opened.ask("SHOW transaction_read_only", seconds).row != ("off",):
            raise link.Failed(READ_ONLY, f"{dsn.where} takes no writes", sent=False)
    except BaseException:
        opened.close()
        raise
    return opened
