"""A client that tries several servers until one takes writes, as libpq does for a list of hosts.

libpq's own non-blocking calls keep no time for each host, so the list is walked here: in its order, `HOST_SECONDS` each
(the least `connect_timeout` that libpq knows), and `transaction_read_only` is asked, which is what
`target_session_attrs=read-write` means.
"""

from __future__ import annotations

import time
from dataclasses import replace

from poolkeeper.model.dsn import Dsn
from poolkeeper_lab.drill import link

HOST_SECONDS = 2.0
READ_ONLY = "connect: read-only"


def connect(dsn: Dsn, seconds: float) -> link.Link:
    """A connection to the first of `dsn.host` (parted by commas) that takes writes. Raises link.Failed, never sent."""
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
