"""Every server by every judge of one: its counters and settings, and its sessions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from poolkeeper.doctor.rules import counter_rules, session_rules
from poolkeeper.doctor.rules.rule import Rule
from poolkeeper.model.diagnosis import ClusterFacts, DoctorFinding
from poolkeeper.model.spec import ClusterSpec


def judge(spec: ClusterSpec, facts: ClusterFacts) -> Iterator[DoctorFinding]:
    """Every node by every judge; a node that did not answer is unknown by each."""
    for node in spec.nodes:
        reading = facts.nodes.get(node.name)
        for template, decide in (*counter_rules.CHECKS, *session_rules.CHECKS):
            look = replace(template, subject=node.name)
            load = reading.value if reading else None
            yield look.unknown(reading) if load is None or reading is None else decide(look, load, reading)
        yield _pending(facts, node.name)


def _pending(facts: ClusterFacts, node: str) -> DoctorFinding:
    """By Patroni's word: a parameter that it gives on the command line is pending for PostgreSQL at other times too."""
    look = Rule(
        "postgresql.pending_restart",
        node,
        "no parameter",
        "",
        "Run `poolkeeper up`: it restarts PostgreSQL where a parameter waits for it.",
        "SELECT name, setting FROM pg_settings WHERE pending_restart",
    )
    told = [reading for reading in facts.patroni.values() if reading.value and reading.value.member(node)]
    if not told:
        return look.unknown(*facts.patroni.values(), why="" if _silent(facts) else f"no Patroni tells of {node}")
    waits = any(m.pending_restart for r in told if r.value and (m := r.value.member(node)))
    seen = facts.nodes.get(node)
    load = seen.value if seen else None
    names = f" ({', '.join(load.pending)})" if load and load.pending else ""
    says = f"a changed parameter{names} takes effect at a restart only" if waits else "no parameter waits for a restart"
    return look.judged(waits, "yes" if waits else "none", says, *told[:1])


def _silent(facts: ClusterFacts) -> bool:
    return any(reading.value is None for reading in facts.patroni.values())
