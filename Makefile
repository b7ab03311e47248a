# `make help` lists the targets.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help demo prerequisites sandbox-image test fuzz check format lint doc deny bench chaos

# Where the prerequisites script and `cargo install` put what they install.
export PATH := $(HOME)/.cargo/bin:$(PATH)

CARGO_DENY_VERSION := 0.20.2

help: ## this list
	@sed -nE 's/^([a-z-]+):[^#]*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 24

demo: ## three nodes turn issues into pull requests on this machine; ARGS="…" for options of `bzzz demo`
	deploy/prerequisites.sh demo
	cargo run -- demo $(ARGS)

prerequisites:
	deploy/prerequisites.sh

sandbox-image: ## the image that sandboxes are made from
	deploy/sandbox/build.sh

test: prerequisites sandbox-image ## all tests; some need Docker, some bubblewrap
	cargo test --workspace --all-features
	FUZZ_SECONDS=20 fuzz/run.sh

fuzz: ## search for inputs that break what reads them; FUZZ_SECONDS=300 each, TARGETS="…" for some of them
	fuzz/run.sh $(TARGETS)

check: prerequisites format lint doc deny ## everything that is checked without running it

format:
	cargo fmt --all --check

lint:
	cargo clippy --workspace --all-targets --all-features -- -D warnings

doc:
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --all-features --no-deps

# Licences, banned crates and sources. Known vulnerabilities too, where their list can be fetched: a machine without a
# way to it can still check the rest.
deny:
	command -v cargo-deny >/dev/null || cargo install --locked cargo-deny --version $(CARGO_DENY_VERSION)
	cargo deny check licenses bans sources
	if cargo deny fetch db; then \
		cargo deny --offline check advisories; \
	else \
		echo "advisories were not checked: their list can't be fetched"; \
	fi

bench: ## measurements
	cargo bench --bench node --bench journal --bench swarm
	cargo bench -p bzzz-actors --bench polling

chaos: prerequisites sandbox-image ## a node among random trouble; CHAOS_MINUTES=10, CHAOS_SEED=<the seed of another run>
	cargo test --all-features --test crash -- --ignored --nocapture chaos
