# `make run` and `make test` set up what they need: Python >= 3.11 and make are enough. `make help` lists the rest.

PYTHON ?= python3
TORCH_INDEX ?=
VENV := .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip --disable-pip-version-check --quiet
INSTALL := $(PIP) install --constraint constraints.txt

.DEFAULT_GOAL := help
.PHONY: help run test check bench nightly clean

help: ## this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /\1\t/' | awk -F '\t' '{ printf "  make %-9s %s\n", $$1, $$2 }'
	@echo "  PYTHON=python3.12 picks the interpreter; TORCH_INDEX=<address> the package index that torch is taken from (CONTRIBUTING.md)"

run: $(VENV)/ready-run ## the quickstart: a small model in this process answers, calls a tool, streams
	@$(PY) examples/quickstart.py

test: check ## everything that must hold before a change goes in
	@echo "== tests"
	@$(PY) -m pytest -q --ignore=tests/structure

check: $(VENV)/ready-dev ## style, types and structure, without the other tests
	@echo "== ruff"
	@$(PY) -m ruff check --quiet
	@$(PY) -m ruff format --check --quiet || { echo "some files are not formatted: run '$(PY) -m ruff format'" >&2; exit 1; }
	@echo "== mypy"
	@$(PY) -m mypy
	@echo "== pyright"
	@$(PY) -m pyright
	@echo "== structure"
	@$(PY) -m pytest -q tests/structure

bench: $(VENV)/ready-dev ## the measurements, printed
	@for bench in tests/bench/*.py; do echo "== $$bench"; $(PY) $$bench || exit 1; done

nightly: $(VENV)/ready-dev ## the whole suite with the slow tests, and many more examples per property
	@$(PY) -m pytest -q -m "" --hypothesis-profile=nightly

clean: ## remove the environment, caches and builds
	rm -rf $(VENV) build dist .pytest_cache .hypothesis .mypy_cache .ruff_cache
	find sdk backends tests examples -name __pycache__ -type d -prune -exec rm -rf {} +

# The set-up. A file marks each finished stage; a change of pyproject.toml or constraints.txt runs the stages again.

$(VENV)/ready-venv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "Ambidex needs Python 3.11 or newer; '$(PYTHON) --version' says: $$($(PYTHON) --version 2>&1 | head -n 1). Name another: make PYTHON=python3.12 ..." >&2; exit 1; }
	@echo "== creating $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv --clear $(VENV)
	@touch $@

# torch goes first and alone: TORCH_INDEX concerns no other package, and none of them can then draw in another build of it.
$(VENV)/ready-run: $(VENV)/ready-venv pyproject.toml constraints.txt
	@echo "== installing (some hundred megabytes and a few minutes the first time)"
	@$(INSTALL) --upgrade pip
	@$(INSTALL) --no-deps $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) torch
	@$(INSTALL) --build-constraint constraints.txt --editable '.[all]'
	@touch $@

$(VENV)/ready-dev: $(VENV)/ready-run
	@echo "== installing the tools for tests and checks"
	@$(INSTALL) --group dev
	@touch $@
