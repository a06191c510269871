# WAVEMQ: everything a newcomer needs. Only python3 (3.11+), make, cargo and a C compiler are assumed.
#   make demo    set up, then run the main job end to end with real processes
#   make demo-outage  five minutes of a flapping link, shown live
#   make test    set up, then run every test
#   make lint    formatting, types, layers, Rust lints
#   make bench   ours and other brokers under load, side by side, and how ours grows (15 min)
#   make bench-quick  the bounds alone, in two minutes; fails where one is missed
#   make fuzz    an hour of fuzzing guided by coverage (FUZZ_SECONDS=3600; docs/fuzzing.md)
#   make bench-instructions  instructions of the kernel's hot paths, against a baseline (valgrind)
#   make audit   licences, duplicates and known advisories of the Rust dependencies
#   make clean   remove what the others made
PYTHON ?= python3
FUZZ_SECONDS ?= 3600
VENV   := .venv
BIN    := $(VENV)/bin
LOAD   := bench/load
KERNEL_SOURCES := kernel/Cargo.toml kernel/Cargo.lock kernel/build.rs pyproject.toml $(wildcard kernel/src/*.rs kernel/src/*/*.rs)

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: demo demo-outage test lint format bench bench-quick bench-load bench-peers bench-instructions audit fuzz proto clean setup setup-lint check-tools
.DELETE_ON_ERROR:

demo: setup
	@$(BIN)/python examples/demo.py

demo-outage: setup
	@$(BIN)/python examples/demo_outage.py

test: setup
	$(BIN)/python -m pytest $(PYTEST_ARGS)

lint: setup-lint
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	cargo fmt --manifest-path kernel/Cargo.toml --check
	cargo clippy --quiet --manifest-path kernel/Cargo.toml --all-targets -- -D warnings
	cargo test --quiet --manifest-path kernel/Cargo.toml
	cargo fmt --manifest-path $(LOAD)/Cargo.toml --check
	cargo clippy --quiet --locked --manifest-path $(LOAD)/Cargo.toml --all-targets -- -D warnings
	cargo test --quiet --locked --manifest-path $(LOAD)/Cargo.toml

format: setup-lint
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	cargo fmt --manifest-path kernel/Cargo.toml
	cargo fmt --manifest-path $(LOAD)/Cargo.toml

# Other brokers are compared with where they are installed (docs/performance.md); the suites of
# single parts (crypto, authority, ...) are `python -m bench crypto authority ...`.
bench: setup bench-load
	@$(BIN)/python -m bench compare
	@$(BIN)/python -m bench scaling --short

bench-quick: setup bench-load
	@$(BIN)/python -m bench compare --quick

# Fails where a hot path takes more than 5 % more instructions than bench/instructions.json says.
bench-instructions: setup
	@$(BIN)/python -m bench instructions

bench-load: check-tools
	@cargo build --quiet --release --locked --manifest-path $(LOAD)/Cargo.toml

# Brokers from PyPI, in an environment of their own.
bench-peers: check-tools
	@test -d .venv-peers || $(PYTHON) -m venv .venv-peers
	@.venv-peers/bin/python -m pip install --quiet amqtt eclipse-zenoh

# Needs cargo-deny and cargo-audit (cargo install --locked cargo-deny cargo-audit); both fetch the
# database of advisories from github.com, without which the last step fails and says so.
audit:
	@command -v cargo-deny >/dev/null || { echo "missing: cargo-deny (cargo install --locked cargo-deny); nothing was checked"; exit 1; }
	cargo deny --manifest-path kernel/Cargo.toml --config kernel/deny.toml check licenses bans sources
	cargo deny --manifest-path $(LOAD)/Cargo.toml --config kernel/deny.toml check licenses bans sources
	@command -v cargo-audit >/dev/null || { echo "missing: cargo-audit (cargo install --locked cargo-audit); advisories were not checked"; exit 1; }
	cargo audit --file kernel/Cargo.lock
	cargo audit --file $(LOAD)/Cargo.lock

# The short run over the same targets is part of `make test` and needs nothing more.
fuzz: setup
	$(BIN)/python -m pip install --quiet -c constraints.txt --group fuzz
	nice -n 19 $(BIN)/python -m tests.fuzz.coverage_guided --seconds $(FUZZ_SECONDS) --directory .fuzz

# Regenerates the committed protobuf modules; needed only after a change in proto/.
proto: setup
	$(BIN)/python -m pip install --quiet --group proto
	cd proto && ../$(BIN)/python -m grpc_tools.protoc -I. --python_out=../src/wavemq/wire --pyi_out=../src/wavemq/wire mqpb.proto wave.proto

setup: check-tools $(VENV)/.stamp-kernel
setup-lint: setup $(VENV)/.stamp-lint

check-tools:
	@command -v $(PYTHON) >/dev/null || { echo "missing: $(PYTHON). Install Python 3.11 or newer, or call make PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "too old: $(PYTHON) is $$($(PYTHON) -V 2>&1); WAVEMQ needs Python 3.11 or newer (make PYTHON=/path/to/python3.11)"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "missing: the venv module of $(PYTHON) (Debian: apt install python3-venv)"; exit 1; }
	@command -v cargo >/dev/null || { echo "missing: cargo, the Rust build tool (https://rustup.rs)"; exit 1; }
	@$(PYTHON) -c 'import re, subprocess, sys; found = re.search(r"(\d+)\.(\d+)", subprocess.run(["cargo", "--version"], capture_output=True, text=True).stdout); sys.exit(found is None or tuple(map(int, found.groups())) < (1, 85))' || { echo "too old: $$(cargo --version 2>&1); WAVEMQ needs Rust 1.85 or newer (rustup update)"; exit 1; }
	@command -v cc >/dev/null || { echo "missing: a C compiler named cc (Debian: apt install gcc libc6-dev)"; exit 1; }

$(VENV)/.stamp-venv:
	@echo "Making $(VENV) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	@touch $@

$(VENV)/.stamp-packages: $(VENV)/.stamp-venv pyproject.toml constraints.txt
	@echo "Installing Python packages ..."
	@$(BIN)/python -m pip install --quiet -c constraints.txt --group build --group test
	@touch $@

$(VENV)/.stamp-lint: $(VENV)/.stamp-packages
	@$(BIN)/python -m pip install --quiet -c constraints.txt --group lint
	@touch $@

$(VENV)/.stamp-kernel: $(VENV)/.stamp-packages $(KERNEL_SOURCES)
	@echo "Building the kernel (a minute the first time) ..."
	@PIP_CONSTRAINT=constraints.txt VIRTUAL_ENV=$(abspath $(VENV)) $(BIN)/maturin develop --release --locked \
		> $(VENV)/kernel.log 2>&1 || { cat $(VENV)/kernel.log; exit 1; }
	@touch $@

clean:
	rm -rf $(VENV) .venv-* kernel/target $(LOAD)/target bench-results .fuzz .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -prune -exec rm -rf {} +
	rm -f src/wavemq/_kernel*.so
