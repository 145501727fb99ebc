# Everything a developer runs. Two commands set a fresh Debian machine up: `make demo`, `make test`.

SHELL := /bin/bash
CARGO ?= cargo
export CARGO_TERM_COLOR ?= auto
# Trials of the overload test in `make test-release`; the promise of docs/digest-format.md.
TRIALS ?= 100000

.PHONY: help setup build demo test test-dev test-release lint fmt bench soak soak-pages fuzz docs clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-14s %s\n", $$1, $$2}'

setup: ## Install what the tests and the demo need (Debian packages, a Python environment); idempotent
	@.ci/setup.sh

build: ## Build the release binary: target/release/paritas
	$(CARGO) build --release --locked -p paritas-cli

demo: setup build ## Two regions on real servers, faults injected, found, reported
	@target/release/paritas demo

test: setup test-dev test-release ## Every test, on real servers

# The binary is built on the way: the tests of its own crate need it. A build of its own would build all libraries twice.
test-dev:
	$(CARGO) test --locked --workspace --exclude paritas-benches

test-release: ## The property tests whose number of trials needs optimised code
	PARITAS_TRIALS=$(TRIALS) $(CARGO) test --release --locked -p paritas-digest

lint: ## Formatting and lints
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings

fmt: ## Format everything
	$(CARGO) fmt --all

bench: build ## Measure every hot path beside what it is compared with
	@.ci/setup.sh --peers
	$(CARGO) bench --locked -p paritas-benches

soak: ## Verify loaded servers for SOAK_MINUTES (default 30) with drifts and stops at random
	$(CARGO) build --release --locked -p paritas-cli
	PARITAS_BIN=$(CURDIR)/target/release/paritas $(CARGO) run --release --locked -p paritas-tests --bin soak
	$(CARGO) test --locked -p paritas-cli --test gate -- --include-ignored killed
	PARITAS_CHEAP_SNAPSHOTS=1000 $(CARGO) test --locked -p paritas-tests --test cheap -- --nocapture no_digest_is_wrong

soak-pages: ## The counted promises of page mode: 100 passes under load, 100 planted faults
	$(CARGO) build --locked -p paritas-cli
	PARITAS_PAGE_PASSES=100 PARITAS_PAGE_FAULTS=100 $(CARGO) test --locked -p paritas-tests --test pages \
		-- --nocapture --include-ignored --test-threads 1 finds_anything every_planted segments_that

fuzz: ## Fuzz every parser of untrusted input, FUZZ_SECONDS (default 60) each; needs a C++ compiler
	@tests/fuzz/run.sh $(TARGETS)

clean: ## Remove what was built
	$(CARGO) clean
