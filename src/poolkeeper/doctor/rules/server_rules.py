"""Every node evaluated by every rule for one server: its counters and settings, and its sessions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from poolkeeper.decide import start_failure
from poolkeeper.doctor.rules import counter_rules, session_rules
from poolkeeper.doctor.rules.rule import Rule
from poolkeeper.model.diagnosis import ClusterFacts, DoctorFinding
from poolkeeper.model.spec import ClusterSpec


def evaluate(spec: ClusterSpec, facts: ClusterFacts) -> Iterator[DoctorFinding]:
    """Yield the findings of every node; for a node that did not answer each is unknown."""
    for node in spec.nodes:
        reading = facts.nodes.get(node.name)
        yield _start(spec, facts, node.name)
        for template, check in (*counter_rules.CHECKS, *session_rules.CHECKS):
            rule = replace(template, subject=node.name)
            load = reading.value if reading else None
            yield rule.unknown(reading) if load is None or reading is None else check(rule, load, reading)
        yield _pending(facts, node.name)


def _start(spec: ClusterSpec, facts: ClusterFacts, node: str) -> DoctorFinding:
    """Evaluate whether the server starts; a silent one whose log has no reason is unknown."""
    reading, message = facts.nodes.get(node), facts.failed_starts.get(node, "")
    advice = start_failure.way_out(message, spec.container_name(node))
    rule = Rule("postgresql.start", node, "the server starts", "", advice, f"poolkeeper logs {node}")
    if message:
        return rule.fires("fails", f"PostgreSQL does not start: {message}", reading)
    if reading is None or reading.value is None:
        return rule.unknown(reading)
    return rule.passes("up", "the server answers", reading)


def _pending(facts: ClusterFacts, node: str) -> DoctorFinding:
    """Evaluate Patroni's flag, not PostgreSQL's.

    PostgreSQL's flag is at times also set for a parameter that Patroni gives on the command line.
    """
    rule = Rule(
        "postgresql.pending_restart",
        node,
        "no parameter",
        "",
        "Run `poolkeeper up`: it restarts PostgreSQL where a parameter requires that.",
        "SELECT name, setting FROM pg_settings WHERE pending_restart",
    )
    answered = [reading for reading in facts.patroni.values() if reading.value and reading.value.member(node)]
    if not answered:
        return rule.unknown(*facts.patroni.values(), why="" if _silent(facts) else f"no Patroni reports {node}")
    waits = any(m.pending_restart for r in answered if r.value and (m := r.value.member(node)))
    seen = facts.nodes.get(node)
    load = seen.value if seen else None
    names = f" ({', '.join(load.pending)})" if load and load.pending else ""
    text = f"a changed parameter{names} takes effect at a restart only" if waits else "no parameter waits for a restart"
    return rule.finding(waits, "yes" if waits else "none", text, *answered[:1])


def _silent(facts: ClusterFacts) -> bool:
    return any(reading.value is None for reading in facts.patroni.values())
