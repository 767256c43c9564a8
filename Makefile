# Every target sets up what it needs: `make demo` and `make test` work in a fresh clone.
.PHONY: demo test bench bench-eviction bench-restarts bench-load bench-soak check fmt interop bogo fuzz wycheproof coverage clean help
.DEFAULT_GOAL := help

export PATH := $(PATH):$(HOME)/.cargo/bin:/usr/lib/rust-web/bin
BIN := .venv/bin
MEDIA_TESTS := tests/attacks tests/e2e tests/recorder
RUST_SOURCES := Cargo.toml Cargo.lock $(shell find rust -name '*.rs' -o -name Cargo.toml)

.venv/ready: pyproject.toml tools/bootstrap $(RUST_SOURCES)
	tools/bootstrap

demo: .venv/ready ## a whole conference on this machine (ARGS="--participants 5 --profile 256")
	$(BIN)/halfkey demo $(ARGS)

test: .venv/ready ## every test, Python and Rust
	cargo test --quiet --workspace
	# Two at a time: most wait for real clocks and sockets. Not those in which media has to flow.
	$(BIN)/python -m pytest -q -n 2 --dist loadfile $(MEDIA_TESTS:%=--ignore=%)
	$(BIN)/python -m pytest -q $(MEDIA_TESTS)

bench: .venv/ready ## speed beside the crypto library's own; rewrites benchmarks/results.md
	$(BIN)/python -m benchmarks.run

bench-eviction: .venv/ready ## how long an evicted one can listen, up to 500 participants (3 min)
	$(BIN)/python -m benchmarks.eviction

bench-load: .venv/ready ## what the Media Distributor costs beside the floor; rewrites benchmarks/load.md (6 min)
	$(BIN)/python -m benchmarks.load

bench-soak: .venv/ready ## half load for an hour (SECONDS=3600); rewrites benchmarks/soak.md
	$(BIN)/python -m benchmarks.soak --seconds $(or $(SECONDS),3600)

bench-restarts: .venv/ready ## what a killed server interrupts, each killed 5 times (3 min)
	$(BIN)/python -m benchmarks.restarts

interop: .venv/ready ## foreign DTLS stacks as judges of ours; rewrites docs/interop.md
	$(BIN)/python -m tests.interop.dtls.table

bogo: .venv/ready ## BoringSSL's own tests of DTLS (BORINGSSL=path to a clone); rewrites docs/bogo.md
	$(BIN)/python -m tests.interop.bogo --boringssl "$(BORINGSSL)"

fuzz: .venv/ready ## what peers send, spoilt by libFuzzer (SECONDS=60 for each target)
	$(BIN)/python -m tests.fuzz.run --seconds $(or $(SECONDS),60)

wycheproof: .venv/ready ## Wycheproof's vectors (VECTORS=a checkout of C2SP/wycheproof)
	@test -n "$(VECTORS)" || { echo "VECTORS names no place: see tests/wycheproof/README.md" >&2; exit 2; }
	HALFKEY_WYCHEPROOF=$(VECTORS) $(BIN)/python -m pytest -q tests/wycheproof

coverage: .venv/ready ## what of halfkey.dtls its own tests run; fails below 95% of branches
	$(BIN)/coverage run -m pytest -q tests/dtls tests/ekt
	$(BIN)/coverage report
	$(BIN)/coverage json -q -o .coverage.json
	$(BIN)/python tools/branches.py .coverage.json 95

check: .venv/ready ## format, lint, types and stubs of both languages
	cargo fmt --check
	cargo fmt --check --manifest-path fuzz/Cargo.toml
	cargo clippy --quiet --workspace --all-targets -- -D warnings
	cargo check --quiet -p halfkey-media --no-default-features
	cargo check --quiet -p halfkey-switch
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m mypy.stubtest halfkey._media --ignore-disjoint-bases

fmt: .venv/ready ## rewrites the sources in the one format
	cargo fmt
	cargo fmt --manifest-path fuzz/Cargo.toml
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## takes away everything that was built or installed here
	rm -rf .venv target build dist halfkey-demo halfkey-load .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find src tests -name __pycache__ -prune -exec rm -rf {} +
	rm -f src/halfkey/_media*.so .coverage .coverage.json

help:
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' Makefile | expand -t 24
