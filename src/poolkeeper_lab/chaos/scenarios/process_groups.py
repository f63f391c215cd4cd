"""The processes of a container that a step can hit, each with the words for its sentence."""

from __future__ import annotations

from dataclasses import dataclass

from poolkeeper_lab.faults import choices, processes
from poolkeeper_lab.faults.choices import of_server, one


@dataclass(frozen=True)
class ProcessGroup:
    """Some processes of a container, and what they are called before "of the primary"."""

    name: str
    choose: processes.Choose


FIRST = ProcessGroup("the first process", processes.first)
PARENT = ProcessGroup("the parent process", processes.first)
WORKER = ProcessGroup("the worker process", choices.below_first)
PATRONI = ProcessGroup("the Patroni process", processes.patroni)
POSTMASTER = ProcessGroup("the postmaster", processes.postmaster)
CHECKPOINTER = ProcessGroup("the checkpointer", of_server("checkpointer"))
WAL_WRITER = ProcessGroup("the WAL writer", of_server("walwriter"))
STARTUP = ProcessGroup("the startup process", of_server("startup"))
WAL_SENDER = ProcessGroup("one WAL sender", one(of_server("walsender")))
WAL_SENDERS = ProcessGroup("every WAL sender", of_server("walsender"))
WAL_RECEIVER = ProcessGroup("the WAL receiver", of_server("walreceiver"))
BACKEND = ProcessGroup("one session process", choices.backend)
BACKENDS = ProcessGroup("every session process", choices.backends)
POOL_SESSION = ProcessGroup("one session process", choices.pool_session)
POOL_CHILDREN = ProcessGroup("every child for sessions", choices.pool_children)
