# Every target does its own set-up. Needs Python 3.11 or newer, pip and make; nothing is installed outside
# of this folder, except by `make test` as root on Debian (programs that tests run against).
#
#   make PYTHON=python3.12 test        another interpreter
#   make test ARGS="-k nbd -x"         arguments for pytest
#   make demo ARGS="--size 64MiB"      arguments for the demo
#   make chaos MINUTES=2 SEED=7        how long, and which schedule of faults; REPLICAS=1: one copy of each page
#   make simulate SEEDS=2000 FIRST=0 JOBS=2

PYTHON ?= python3
VENV ?= .venv
IMAGE ?= ramster:dev
ARGS ?=
MINUTES ?= 10
REPLICAS ?= 2
SEED ?=
SEEDS ?= 200
FIRST ?= 0
JOBS ?= $(shell nproc 2>/dev/null || echo 1)

BIN := $(VENV)/bin
DEMO_READY := $(VENV)/.cluster-ready
DEV_READY := $(VENV)/.dev-ready
NATIVE := zcache/_native.abi3.so
SOURCES := zcache ramster tests benchmarks examples proto tools setup.py
CARGO ?= cargo
# What is newer than an environment makes it set up again, native core included; cargo compiles what changed.
SET_UP := pyproject.toml setup.py tools/set_up_venv.py \
	$(shell find native -name target -prune -o -name fuzz -prune -o \( -name '*.rs' -o -name 'Cargo.*' \) -print)

.DEFAULT_GOAL := help
.PHONY: help demo test lint format types native native-test bench simulate chaos image proto clean

help: ## show this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' Makefile

demo: $(DEMO_READY) ## three nodes on this machine, real files in and out, byte for byte
	@$(BIN)/python -m ramster demo $(ARGS)

test: $(DEV_READY) ## every test that this machine can run
	@sh tests/support/install_nbd_clients.sh
	@sh tests/support/install_browser.sh
	@sh tests/support/install_prometheus.sh
	@$(BIN)/python -m pytest $(ARGS)

lint: $(DEV_READY) ## ruff: rules and format
	@$(BIN)/ruff check $(SOURCES)
	@$(BIN)/ruff format --check $(SOURCES)

format: $(DEV_READY) ## rewrite the sources in the project's format
	@$(BIN)/ruff check --fix-only $(SOURCES)
	@$(BIN)/ruff format $(SOURCES)

types: $(DEV_READY) ## mypy --strict
	@$(BIN)/mypy

native: $(NATIVE) ## build the native core into zcache/; needs Rust (the other targets try, and do without)

native-test: ## the native core's own format, clippy and tests; needs Rust
	@command -v $(CARGO) >/dev/null || { echo "native-test: skipped, there is no $(CARGO) on the PATH"; \
		test "$$RAMSTER_REQUIRE_NATIVE" != 1; exit; }; cd native && $(CARGO) fmt --check && \
		$(CARGO) clippy --quiet --locked --workspace --all-targets -- -D warnings && \
		$(CARGO) test --quiet --locked --workspace

bench: $(DEV_READY) ## measure single parts: cache, its memory, gRPC (workloads: ramster bench)
	@$(BIN)/python -m benchmarks.run $(ARGS)

chaos: $(DEV_READY) ## five nodes in containers under a verifying workload and faults; needs Docker
	@$(BIN)/python -m tests.chaos run --minutes $(MINUTES) --replicas $(REPLICAS) \
		$(if $(SEED),--seed $(SEED)) $(ARGS)

simulate: $(DEV_READY) ## random histories of small clusters under faults, checked against a model
	@$(BIN)/python -m tests.simulation --seeds $(SEEDS) --first $(FIRST) --jobs $(JOBS) $(ARGS)

image: ## the container image $(IMAGE)
	@bash deploy/build-image.sh $(IMAGE)

# With the one version of the generator that proto/generate.py wants, in an environment of its own.
proto: ## generate ramster/wire from proto/
	@test -x build/proto-venv/bin/python || $(PYTHON) -m venv build/proto-venv
	@build/proto-venv/bin/pip install --quiet --disable-pip-version-check \
		$$($(PYTHON) -c 'import re; print(re.search(r"grpcio-tools==[0-9.]+", open("proto/generate.py").read())[0])')
	@build/proto-venv/bin/python proto/generate.py

clean: ## remove everything that was made here
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	rm -rf native/target zcache/_native.*.so zcache/_native_missing.txt
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(NATIVE): $(SET_UP)
	@ZCACHE_BUILD_NATIVE=yes $(PYTHON) tools/set_up_venv.py $(VENV) dev
	@touch $(DEV_READY) $@

# The development extra contains the demo's.
$(DEMO_READY): $(SET_UP)
	@test -e $(DEV_READY) && test -z "$$(find $(SET_UP) -newer $(DEV_READY))" || \
		$(PYTHON) tools/set_up_venv.py $(VENV) cluster
	@touch $@

$(DEV_READY): $(SET_UP)
	@$(PYTHON) tools/set_up_venv.py $(VENV) dev
	@touch $@
