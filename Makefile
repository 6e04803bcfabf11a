# Everything sets itself up in .venv: `make demo` and `make test` are all that a new machine needs.
#
#   make demo         a good and a bad release on this machine, no cluster, no root, under a minute
#   make test         lint, and every test that can run here; says what it leaves out and why
#   make lint unit    what gates a change
#   make integration  against a real Prometheus (on PATH) and a real cluster (KUBECONFIG)
#   make e2e-core     the guard from its image in the cluster of KUBECONFIG, at most 8 minutes
#   make e2e          all scenarios, with the table of docs/e2e.md
#   make bench        decision quality and costs, printed beside their goals, in a minute or two
#   make bench-decisions   the same of the decisions with 20,000 runs a false-abort cell, on all cores

PYTHON ?= $(firstword $(foreach name,python3.11 python3.12 python3.13 python3,$(shell command -v $(name))))
VENV ?= .venv
BIN := $(VENV)/bin
SITE := build/site
CORES ?= $(shell getconf _NPROCESSORS_ONLN)
export PYTHONDONTWRITEBYTECODE := 1

.DEFAULT_GOAL := help
.PHONY: help demo test lint unit integration e2e e2e-core render bench bench-decisions lock clean coverage docs-check
.DELETE_ON_ERROR:

help:
	@sed -n 's/^#   //p' Makefile

# Set-up. Two stamps, so that the demo waits for what it runs on and no more.

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "guard needs Python 3.11 or newer, found: $$($(PYTHON) --version 2>&1); name one with make PYTHON=…" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: requirements.txt | $(VENV)/bin/python
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	@printf '#!/bin/sh\nPYTHONPATH="%s" exec "%s/python" -m guard "$$@"\n' '$(CURDIR)' '$(abspath $(BIN))' > $(BIN)/guard
	@chmod +x $(BIN)/guard
	@touch $@

$(VENV)/.test: requirements-test.txt | $(VENV)/.run
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-test.txt
	@touch $@

# What integration and e2e tests import: the built wheel, as a user installs it.
$(SITE)/.wheel: pyproject.toml README.md $(shell find guard -type f -not -name '*.pyc') | $(VENV)/.test
	@rm -rf $(SITE) build/dist
	$(BIN)/pip wheel --quiet --no-deps --no-build-isolation --wheel-dir build/dist .
	$(BIN)/pip install --quiet --no-deps --no-index --no-compile --target $(SITE) build/dist/*.whl
	@touch $@

demo: $(VENV)/.run
	@$(BIN)/guard demo

# Tests.

test: lint unit integration coverage e2e-core

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/yamllint --strict .
	$(BIN)/hadolint Dockerfile examples/shop/Dockerfile tests/e2e/otel/Dockerfile
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml

unit: $(VENV)/.test
	@rm -rf build/coverage/unit && mkdir -p build/coverage/unit
	COVERAGE_FILE=build/coverage/unit/data PYTHONPATH=$(CURDIR) $(BIN)/coverage run -m pytest --ignore=tests/integration --numprocesses=$(CORES) --dist=worksteal
	@COVERAGE_FILE=build/coverage/unit/all $(BIN)/coverage combine --quiet --keep build/coverage/unit/data.*
	COVERAGE_FILE=build/coverage/unit/all $(BIN)/coverage report --include='guard/core/*' --fail-under=100 --skip-covered

integration: $(SITE)/.wheel
	@rm -rf build/coverage/integration && mkdir -p build/coverage/integration
	COVERAGE_FILE=build/coverage/integration/data GUARD_TEST_SITE=$(abspath $(SITE)) PYTHONSAFEPATH=1 PYTHONPATH=$(abspath $(SITE)):$(CURDIR) $(BIN)/coverage run -m pytest tests/integration

# The rest of the guard is covered by unit and integration tests together, so this means something
# only where nothing was left out.
coverage:
	@COVERAGE_FILE=build/coverage/all $(BIN)/coverage combine --quiet --keep build/coverage/unit/data.* build/coverage/integration/data.*
	COVERAGE_FILE=build/coverage/all $(BIN)/coverage report --skip-covered --skip-empty \
	  --fail-under=$(if $(GUARD_NO_SKIPS),90,0)

e2e-core: $(SITE)/.wheel
	@PYTHONSAFEPATH=1 PYTHONPATH=$(abspath $(SITE)):$(CURDIR) $(BIN)/python -m tests.e2e.available || { test -z "$(GUARD_NO_SKIPS)"; exit; }; \
	PYTHONSAFEPATH=1 PYTHONPATH=$(abspath $(SITE)):$(CURDIR) $(BIN)/python -m pytest tests/e2e -m core

e2e: $(SITE)/.wheel
	PYTHONSAFEPATH=1 PYTHONPATH=$(abspath $(SITE)):$(CURDIR) $(BIN)/python -m tests.e2e.available
	PYTHONSAFEPATH=1 PYTHONPATH=$(abspath $(SITE)):$(CURDIR) $(BIN)/python -m pytest tests/e2e

# Generated files.

render: $(VENV)/.run
	$(BIN)/python -m guard.config.schema > docs/slo-file.schema.json

bench: $(VENV)/.run
	PYTHONPATH=$(CURDIR) $(BIN)/python -m benchmarks.decisions --short
	PYTHONPATH=$(CURDIR) $(BIN)/python benchmarks/scrape_cost.py

bench-decisions: $(VENV)/.run
	PYTHONPATH=$(CURDIR) $(BIN)/python -m benchmarks.decisions --processes $$(nproc) --plot docs/decisions-benchmark.svg

# Locks with hashes for every platform; run after a change of pyproject.toml's dependencies.
lock: $(VENV)/.test
	$(BIN)/pip install --quiet uv
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header pyproject.toml -o requirements.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header -c requirements.txt pyproject.toml --group test -o requirements-test.txt

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
