# Each target sets up what it needs from a fresh clone: Python 3.11 or newer, and make.
#   make test PYTHON=python3.13      with another Python, in an environment of its own
#   make test ARGS="-k name"         some of the tests, or whatever else pytest takes
#   make bench ARGS=--quick          in two minutes; over DATABASE_URL too, if that is a PostgreSQL
#   make fuzz SECONDS=600 SEED=1     on each database for that long, from a seed that was printed

PYTHON ?= python3
ARGS ?=
SECONDS ?= 300
SEED ?= $(shell $(PYTHON) -c 'import random; print(random.getrandbits(32))')

VERSION := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)
DEV := .venv/$(VERSION)
RUN := .venv/run-$(VERSION)
BENCH := .venv/bench-$(VERSION)
LATEST := .venv/latest-$(VERSION)
BIN := $(DEV)/bin
CLIENT := .venv/client-$(VERSION)
DOCS := .venv/docs-$(VERSION)
FASTIFY := benchmarks/peers/fastify
TYPESCRIPT := tests/slow/clients/typescript
INSTALLED := node_modules/.package-lock.json

export PYRIGHT_PYTHON_IGNORE_WARNINGS := 1

.DEFAULT_GOAL := help
.PHONY: help run test test-all test-latest fuzz bench docs check format lock clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

run: $(RUN)/project.stamp ## Start the service on HOST:PORT over DATABASE_URL, migrated
	$(RUN)/bin/python -m app

test: $(DEV)/project.stamp ## Run the whole contract on both databases, in a few minutes
	$(BIN)/python -m pytest -n 2 $(ARGS)

test-all: $(DEV)/project.stamp $(CLIENT)/pins.stamp $(DOCS)/pins.stamp $(TYPESCRIPT)/$(INSTALLED) ## Run everything: with coverage, the slow tests too, and on both paths
	$(BIN)/python -m pytest -n 2 --cov -k "not (contract and postgresql)"
	$(BIN)/python -m pytest -n 2 --dist worksteal tests/slow tests/examples
	$(BIN)/python -m pytest -n 2 --all --path orm

test-latest: $(LATEST)/project.stamp ## Run the contract with the newest FastAPI, SQLAlchemy and Pydantic
	@$(PYTHON) requirements/install.py latest $(LATEST)
	$(LATEST)/bin/python -m pytest -n 2 $(ARGS)

fuzz: $(DEV)/project.stamp ## Run Schemathesis for SECONDS on each database, from a random seed
	FUZZ_SECONDS=$(SECONDS) FUZZ_SEED=$(SEED) $(BIN)/python -m pytest \
		tests/slow/test_schemathesis.py $(ARGS)

bench: $(BENCH)/project.stamp $(FASTIFY)/$(INSTALLED) ## Measure the service beside other libraries, and write benchmarks/report.md
	$(BENCH)/bin/python -m benchmarks $(ARGS)

docs: $(DOCS)/pins.stamp ## Build the documentation into build/docs
	$(DOCS)/bin/python -m documentation

check: $(DEV)/project.stamp ## Check format, lint, language, imports, types and pins
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports --no-logo
	$(BIN)/python -m language
	$(BIN)/python -m requirements.closure
	$(BIN)/mypy
	$(BIN)/pyright --pythonpath $(BIN)/python

format: $(DEV)/project.stamp ## Format the code and fix what the linter can fix
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock: $(DEV)/pins.stamp ## Renew the pins in requirements/ (ARGS=--upgrade for the newest)
	$(BIN)/python -m requirements.lock $(ARGS)

clean: ## Remove what these targets made, except databases
	rm -rf .venv $(FASTIFY)/node_modules $(TYPESCRIPT)/node_modules .coverage .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache \
		build dist htmlcov
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# An environment is made from nothing when its pins change, or when its Python is gone. A stamp says
# that everything before it succeeded.
$(DEV)/pins.stamp: requirements/dev.txt $(DEV)/bin/python
$(RUN)/pins.stamp: requirements/run.txt $(RUN)/bin/python
$(BENCH)/pins.stamp: requirements/bench.txt $(BENCH)/bin/python
$(LATEST)/pins.stamp: requirements/dev.txt $(LATEST)/bin/python
$(CLIENT)/pins.stamp: requirements/client.txt $(CLIENT)/bin/python
$(DOCS)/pins.stamp: requirements/docs.txt $(DOCS)/bin/python
$(DEV)/bin/python $(RUN)/bin/python $(BENCH)/bin/python $(LATEST)/bin/python $(CLIENT)/bin/python $(DOCS)/bin/python: ;

.venv/%/pins.stamp:
	@command -v $(PYTHON) >/dev/null || { echo "There is no $(PYTHON): install Python 3.11 or newer, \
	or name yours, as in: make test PYTHON=python3.13" >&2; exit 1; }
	@$(PYTHON) requirements/install.py pins $(@D) $<
	@touch $@

.venv/%/project.stamp: .venv/%/pins.stamp pyproject.toml
	@$(PYTHON) requirements/install.py project $(@D)
	@touch $@

# npm writes this file last. Without it the benchmark leaves Fastify out, and tests of clients fail.
%/$(INSTALLED): %/package-lock.json
	@if ! command -v npm >/dev/null; then \
		echo "Without $*: install Node.js 20 or newer and npm (Debian: apt-get install nodejs npm)."; \
	elif npm ci --prefix $* --ignore-scripts --no-audit --no-fund --loglevel=error; then \
		touch $@; \
	else \
		echo "Without $*: npm could not install it."; \
	fi
