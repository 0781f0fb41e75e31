# Sets itself up on a machine that has only Python 3.11-3.13 with pip, and make.
#   make demo    the stand-in tenant, Prefect and the main job on a sample feed (ARGS="--once --json" to run and exit)
#   make test    everything      make check    what a change must pass, in under two minutes
#   make nightly what takes long: the full figures of reliability (ARGS="-k fuzz" to choose)
#   make conformance  is a real endpoint as we need it? ENDPOINT=https://HOST:5986/wsman … (docs/conformance.md)
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help env demo test check lint format types imports nightly conformance lock clean

# Compiled bytecode saves ten seconds of CPU per process, so nothing may switch it off.
unexport PYTHONDONTWRITEBYTECODE
unexport PYTHONPATH
unexport PYTHONHOME
unexport VIRTUAL_ENV

PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do \
  "$$p" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && command -v "$$p" && break; done)
BIN := .venv/bin
UV := PYTHONPATH=.tools/uv $(PYTHON) -m uv
DEMO_READY := .venv/.demo-ready
TEST_READY := .venv/.test-ready

help:
	@sed -n 's/^#   //p' Makefile

.tools/uv/.ready:
	@test -n "$(PYTHON)" || { echo "callwright needs Python 3.11, 3.12 or 3.13 on PATH; install one and run make again" >&2; exit 3; }
	@$(PYTHON) -m pip install --quiet --quiet --disable-pip-version-check --root-user-action=ignore --no-warn-script-location --target .tools/uv uv
	@touch $@

.venv/pyvenv.cfg: | .tools/uv/.ready
	@$(UV) venv --quiet --allow-existing --python "$(PYTHON)" .venv

# The test lock contains the demo lock, so an environment that is ready for tests is ready for the demo.
$(DEMO_READY): requirements/demo.lock | .venv/pyvenv.cfg
	@test $(TEST_READY) -nt requirements/test.lock || \
	  $(UV) pip install --quiet --python $(BIN)/python --require-hashes --compile-bytecode -r requirements/demo.lock
	@touch $@

$(TEST_READY): requirements/test.lock | .venv/pyvenv.cfg
	@$(UV) pip install --quiet --python $(BIN)/python --require-hashes --compile-bytecode -r requirements/test.lock
	@touch $@

env: $(TEST_READY)

demo: $(DEMO_READY)
	@$(BIN)/python -m deployments.demo $(ARGS)

format: $(TEST_READY)
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix --quiet .

lint: $(TEST_READY)
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .

types: $(TEST_READY)
	@$(BIN)/mypy .

imports: $(TEST_READY)
	@$(BIN)/lint-imports

check: lint types imports
	@$(BIN)/python -m pytest -q -n 2 --dist worksteal -m "not slow and not browser and not postgres and not nightly" $(ARGS)

test: lint types imports
	@$(BIN)/python -m pytest -q -n 2 --dist worksteal -m "not nightly" $(ARGS)

nightly: $(TEST_READY)
	@$(BIN)/python -m pytest -q -n 2 --timeout 3600 -m nightly $(ARGS)

# Names of what to test become CONFORMANCE_… for the suites; secrets are in files that only you can read.
CONFORMANCE := ENDPOINT USERNAME PASSWORD_FILE AUTH CA_BUNDLE CONFIGURATION SCRIPTS TEST_USER \
  TENANT_ID CLIENT_ID CLIENT_SECRET_FILE AUTHORITY GRAPH_URL
SUITES := $(if $(ENDPOINT),tests/conformance/test_powershell_endpoint.py) $(if $(TENANT_ID),tests/conformance/test_graph_endpoint.py)

conformance: $(TEST_READY)
	@test -n "$(strip $(SUITES))" || { echo "conformance: name what to test: ENDPOINT=https://HOST:5986/wsman or TENANT_ID=…; see docs/conformance.md" >&2; exit 2; }
	@env $(foreach name,$(CONFORMANCE),$(if $($(name)),"CONFORMANCE_$(name)=$($(name))")) $(BIN)/python -m pytest -v -rs $(SUITES) $(ARGS)

lock: | .tools/uv/.ready
	@$(UV) pip compile pyproject.toml --universal --generate-hashes --no-header --no-annotate -q -o requirements/run.lock
	@$(UV) pip compile pyproject.toml --extra demo --universal --generate-hashes --no-header --no-annotate -c requirements/run.lock -q -o requirements/demo.lock
	@$(UV) pip compile pyproject.toml --extra demo --extra test --universal --generate-hashes --no-header --no-annotate -c requirements/run.lock -q -o requirements/test.lock

clean:
	@rm -rf .venv .tools .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
