"""The contracts of `.importlinter`: each holds, and each catches an injected import that it forbids."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import grimp
import pytest
from importlinter import api
from importlinter.configuration import configure
from importlinter.contracts.forbidden import ForbiddenContract
from importlinter.contracts.independence import IndependenceContract
from importlinter.contracts.layers import LayersContract
from importlinter.domain.contract import Contract

ROOT = Path(__file__).resolve().parents[3]
TYPES: dict[str, type[Contract]] = {
    "forbidden": ForbiddenContract,
    "independence": IndependenceContract,
    "layers": LayersContract,
}
# The first word of a contract's name → an import that it forbids: (importer, imported).
VIOLATIONS = {
    "the lab imports the product": ("poolkeeper.keeper.agent", "poolkeeper_lab.faults.fault"),
    "product": ("poolkeeper.model.spec", "poolkeeper.render.files"),
    "lab": ("poolkeeper_lab.faults.fault", "poolkeeper_lab.drill.ledger"),
    "keeper": ("poolkeeper.keeper.decide.release", "poolkeeper.keeper.journal"),
    "operations": ("poolkeeper.operations.operation", "poolkeeper.operations.user"),
    "cluster": ("poolkeeper.cluster.handle", "poolkeeper.cluster.snapshot"),
    "suite": ("poolkeeper.suite.checks.node_checks", "poolkeeper.suite.collect.workspace"),
    "doctor": ("poolkeeper.doctor.rules.host_rules", "poolkeeper.doctor.facts"),
    "chaos": ("poolkeeper_lab.chaos.history.recorder", "poolkeeper_lab.chaos.checkers.finding"),
    "bench": ("poolkeeper_lab.bench.measure.meter", "poolkeeper_lab.bench.load.pgbench"),
}

configure()
CONFIGURATION = api.read_configuration(str(ROOT / ".importlinter"))
CONTRACTS: dict[str, dict[str, Any]] = {
    options["name"].partition(":")[0].partition(",")[0]: options for options in CONFIGURATION["contracts_options"]
}


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    return grimp.build_graph("poolkeeper", "poolkeeper_lab", cache_dir=None)


def is_kept(options: dict[str, Any], graph: grimp.ImportGraph) -> bool:
    contract = TYPES[options["type"]](options["name"], CONFIGURATION["session_options"], options)
    return contract.check(copy.deepcopy(graph), verbose=False).kept


def test_every_contract_has_an_injected_violation() -> None:
    assert set(CONTRACTS) == set(VIOLATIONS)


@pytest.mark.parametrize("name", CONTRACTS)
def test_contract_holds(name: str, graph: grimp.ImportGraph) -> None:
    assert is_kept(CONTRACTS[name], graph)


@pytest.mark.parametrize("name", CONTRACTS)
def test_contract_catches_its_injected_violation(name: str, graph: grimp.ImportGraph) -> None:
    importer, imported = VIOLATIONS[name]
    assert {importer, imported} <= graph.modules, "a module of the injected import is gone"
    changed = copy.deepcopy(graph)
    changed.add_import(importer=importer, imported=imported)
    assert not is_kept(CONTRACTS[name], changed)


def test_keeper_cannot_reach_the_faults(graph: grimp.ImportGraph) -> None:
    assert not graph.find_shortest_chains("poolkeeper.keeper", "poolkeeper_lab.faults")
