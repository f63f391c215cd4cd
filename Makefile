# The commands of Poolkeeper, one line each; ARGS="…" is passed on.
# make itself ends with 2 whenever a command fails; `.venv/bin/poolkeeper COMMAND` gives the exit codes.
.DEFAULT_GOAL := help
.PHONY: help .venv dev docs requirements pgpool-campaign pgpool-self-test pgpool-up pgpool-status pgpool-ps pgpool-logs pgpool-stop pgpool-down test-pgpool test test-fast lint pgpool-drill pgpool-chaos bench-startup pgpool-switchover pgpool-restart pgpool-maintenance pgpool-reinit pgpool-events pgpool-tune pgpool-doctor pgpool-bench
.NOTPARALLEL:
BIN := .venv/bin
PK := $(BIN)/poolkeeper
FAST_TESTS := tests/poolkeeper/unit tests/lab/unit tests/poolkeeper/golden
CLUSTER_TESTS := tests/poolkeeper/integration tests/lab/integration tests/lab/e2e tests/poolkeeper/e2e

help:                ; @sed -n 's/^\([a-z-]*\):.*  ## /  \1|/p' Makefile | awk -F'|' '{printf "%-20s %s\n", $$1, $$2}'  ## this list
pgpool-up: .venv     ; @$(PK) up $(ARGS)  ## start the cluster; installs, builds and repairs what is missing
pgpool-status: .venv ; @$(PK) status $(ARGS)  ## each node's role as every component reports it (exit codes: use `.venv/bin/poolkeeper status`)
pgpool-ps: .venv     ; @$(PK) ps $(ARGS)  ## the containers
pgpool-logs: .venv   ; @$(PK) logs $(ARGS)  ## their logs, as ARGS="pgpool -f"
pgpool-switchover: .venv ; @$(PK) switchover $(if $(TO),--to $(TO)) $(ARGS)  ## move the primary's role, as TO=pg_node2 or ARGS="--dry-run"
pgpool-restart: .venv ; @$(PK) restart $(ARGS)  ## restart PostgreSQL, node after node, or ARGS="pg_node2"
pgpool-maintenance: .venv ; @$(PK) maintenance $(ARGS)  ## ARGS="on": no election and no repair; ARGS="off": both resume
pgpool-reinit: .venv ; @$(PK) reinit $(ARGS)  ## replace a standby's data by a new base backup, as ARGS="pg_node3"
pgpool-events: .venv ; @$(PK) events $(ARGS)  ## the timeline of the last failover or switchover
pgpool-doctor: .venv ; @$(PK) doctor $(ARGS)  ## what limits the running cluster now, and what to change
pgpool-tune: .venv   ; @$(PK) tune $(ARGS)  ## compute cluster.toml's values for this machine, as ARGS="--clients 100 --pairs 1 --diff"
pgpool-stop: .venv   ; @$(PK) stop $(ARGS)  ## stop the containers; the data stays
pgpool-down: .venv   ; @$(PK) down $(ARGS)  ## remove containers, network AND DATA
test-pgpool: .venv   ; @$(PK) test $(ARGS)  ## run the validation suite against the running cluster
pgpool-drill: .venv  ; @$(PK) drill $(ARGS)  ## break the running cluster and measure what clients see, as ARGS="kill_node --rounds 10"
pgpool-chaos: .venv  ; @$(PK) chaos run $(if $(MINUTES),--minutes $(MINUTES)) $(if $(SEED),--seed $(SEED)) $(foreach s,$(SCENARIO),--scenario $(s)) $(ARGS)  ## break it under load and check every answer that clients got, as MINUTES=10 SEED=7 SCENARIO="kill_node switchover"
pgpool-campaign: .venv ; @$(PK) chaos campaign $(ARGS)  ## every scenario, in sessions: an hour and more
pgpool-self-test: .venv ; @$(PK) chaos self-test $(ARGS)  ## inject bugs into the running cluster, and check that each is caught
pgpool-bench: .venv  ; @$(PK) bench $(or $(PART),all) $(ARGS)  ## measure how fast the cluster is, as PART=path ARGS="--rounds 5 --compare OLD.json"
bench-startup: .venv ; @$(PK) bench startup $(ARGS)  ## measure how fast the cluster starts
test: lint           ; @$(PK) engine && $(BIN)/pytest -q -n auto $(FAST_TESTS) && $(BIN)/pytest $(CLUSTER_TESTS) --reruns 1 --durations=25 $(ARGS)  ## lint and every test, end-to-end on real clusters too
test-fast: lint      ; @$(BIN)/pytest -n auto $(FAST_TESTS) -m "not integration and not e2e" $(ARGS)  ## lint and the tests that need no engine
lint: dev docs       ; @$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/lint-imports && $(BIN)/codespell && $(BIN)/pytest -q tests/poolkeeper/unit/test_house.py tests/poolkeeper/unit/test_prose.py  ## style, types, spelling, import contracts, the rules of the house
docs: dev            ; @NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet  ## build the documentation site into artifacts/site; a dead link fails
requirements: dev    ; @./requirements.sh $(ARGS)  ## pin the versions and hashes of requirements*.txt again, as ARGS="--upgrade"

.venv:               ; @./setup.sh
dev:                 ; @./setup.sh --dev
