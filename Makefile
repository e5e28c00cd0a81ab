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
VENV := .venv/$(VERSION)
BIN := $(VENV)/bin
BENCH := .venv/bench-$(VERSION)

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PYRIGHT_PYTHON_IGNORE_WARNINGS := 1

.DEFAULT_GOAL := help
.PHONY: help run test test-all fuzz bench check format lock clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

run: $(VENV)/run.stamp ## Start the service on HOST:PORT over DATABASE_URL, migrated
	$(BIN)/python -m app

test: $(VENV)/dev.stamp ## Run the whole contract on both databases, in a few minutes
	$(BIN)/python -m pytest -n 2 $(ARGS)

test-all: $(VENV)/dev.stamp ## Run everything: with coverage, the slow tests too, and on both lanes
	$(BIN)/python -m pytest -n 2 --all --cov
	$(BIN)/python -m pytest -n 2 --all --lane ordinary

fuzz: $(VENV)/dev.stamp ## Run Schemathesis for SECONDS on each database, from a random seed
	FUZZ_SECONDS=$(SECONDS) FUZZ_SEED=$(SEED) $(BIN)/python -m pytest \
		tests/slow/test_schemathesis.py $(ARGS)

bench: ## Measure the service beside other libraries, and write benchmarks/report.md
	@$(MAKE) --no-print-directory VENV=$(BENCH) $(BENCH)/bench.stamp
	$(BENCH)/bin/python -m benchmarks $(ARGS)

check: $(VENV)/dev.stamp ## Check format, lint, imports and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports --no-logo
	$(BIN)/mypy
	$(BIN)/pyright --pythonpath $(BIN)/python

format: $(VENV)/dev.stamp ## Format the code and mend what the linter can mend
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# Compiled on the oldest Python, whose packages are a superset of a newer one's. Only the registry
# counts: a folder or a second index of this machine must not end up in the hashes.
COMPILE = PIP_CONFIG_FILE=/dev/null PIP_FIND_LINKS= PIP_EXTRA_INDEX_URL= \
	CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/pip-compile --quiet --generate-hashes \
	--allow-unsafe --strip-extras --no-emit-options --build-deps-for editable

lock: $(VENV)/dev.stamp ## Pin the dependencies anew (ARGS=--upgrade for the newest)
	@test $(VERSION) = 3.11 || { echo "Lock with the oldest Python: make lock PYTHON=python3.11" >&2; exit 1; }
	$(COMPILE) $(ARGS) --extra service --extra cli --output-file requirements/run.txt pyproject.toml
	$(COMPILE) $(ARGS) --extra service --extra cli --extra dev --constraint requirements/run.txt \
		--output-file requirements/dev.txt pyproject.toml
	$(COMPILE) $(ARGS) --extra service --extra bench --constraint requirements/dev.txt \
		--output-file requirements/bench.txt pyproject.toml

clean: ## Remove what these targets made, except databases
	rm -rf .venv .coverage .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache \
		build dist htmlcov
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

define NEEDS
import sys
if sys.version_info < (3, 11):
    sys.exit("Brickwork needs Python 3.11 or newer, and $(PYTHON) is older. "
             "Install one and name it, as in: make test PYTHON=python3.13")
try:
    import ensurepip, venv
except ImportError:
    sys.exit("$(PYTHON) cannot make virtual environments: install its venv module "
             "(Debian: apt-get install python3-venv).")
endef
export NEEDS

$(BIN)/python:
	@command -v $(PYTHON) >/dev/null || { echo "There is no $(PYTHON): install Python 3.11 or newer, \
	or name yours, as in: make test PYTHON=python3.13" >&2; exit 1; }
	@$(PYTHON) -c "$$NEEDS"
	$(PYTHON) -m venv --clear $(VENV)

$(VENV)/%.stamp: requirements/%.txt pyproject.toml $(BIN)/python
	$(BIN)/python -m pip install --quiet --require-hashes --requirement $<
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@
