# Every command of the project; `make help` lists them.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DEFAULT_GOAL := help

URL     ?= http://127.0.0.1:$(or $(PORT),8000)
WORKERS ?= 2
FUZZ_SECONDS ?= 600
PREFIX  ?= $(if $(filter 0,$(shell id -u)),/usr/local,$(HOME)/.local)
MODEL   ?=
# The key that the test-* commands send, if the server wants one.
API_KEY ?=
CURL    := curl --silent --show-error --fail-with-body $(if $(API_KEY),-H "Authorization: Bearer $(API_KEY)")
TOOLS   := .drover/tools

##@ Start

.PHONY: start
start: release ## Build, then start the api and two workers (WORKERS=n) on SQLite
	@$(call run,target/release)

.PHONY: start-dev
start-dev: build ## The same with a debug build and debug logs
	@export DEBUG=true
	$(call run,target/debug)

.PHONY: start-prod
start-prod: release ## The same with JSON logs; refuses to start without API_KEYS
	@export LOG_FORMAT=json REQUIRE_AUTH=true
	$(call run,target/release)

.PHONY: docker-up
docker-up: ## Start api and workers with docker compose (WORKERS=n)
	docker compose up --build --detach --wait --scale worker=$(WORKERS)
	echo "Drover listens at $(URL)"

##@ Set up

.PHONY: install
install: release ## Build the binaries and put them into PREFIX/bin
	install -D -m 755 -t $(PREFIX)/bin target/release/drover-api target/release/drover-worker

.PHONY: install-dev
install-dev: need-cargo need-npm ## Install what the tests need: both Claude CLIs and the official SDKs
	tests/setup.sh

.PHONY: dev-setup
dev-setup: install-dev build ## install-dev, a debug build, and a .env to edit
	[ -e .env ] || cp .env.example .env

##@ Build

.PHONY: build
build: need-cargo ## Build everything (debug)
	cargo build --workspace --bins

.PHONY: release
release: need-cargo need-npm ## Build the two binaries (release)
	@cargo build --release -p drover-api -p drover-worker

.PHONY: clean
clean: ## Remove what was built
	cargo clean

##@ Test

.PHONY: test
test: format-check lint deny install-dev build ## Run everything: checks, unit, end-to-end and SDK tests
	cargo test --workspace

.PHONY: fuzz
fuzz: need-cargo ## Fuzz the request parser and the CLI's decoder (FUZZ_SECONDS=n each; KEEP=1 keeps new inputs)
	tests/fuzz/run.sh $(FUZZ_SECONDS)

.PHONY: test-fast
test-fast: ## Run the tests that need neither a Claude CLI nor an SDK
	cargo test -p drover-shared -p drover-api -p drover-worker --lib -- --skip real_cli

.PHONY: bench
bench: install-dev ## Measure, beside the bare CLI and the raw database
	cargo build --release --workspace --bins
	target/release/drover-bench

.PHONY: test-hello
test-hello: ## Ask a running server for one answer
	$(CURL) $(URL)/v1/chat/completions -H 'content-type: application/json' -d '{$(if $(MODEL),"model":"$(MODEL)"$(comma) )"messages":[{"role":"user","content":"Say hello."}]}'
	echo

.PHONY: test-chat
test-chat: ## Watch a running server stream an answer
	$(CURL) --no-buffer $(URL)/v1/chat/completions -H 'content-type: application/json' -d '{$(if $(MODEL),"model":"$(MODEL)"$(comma) )"stream":true,"messages":[{"role":"user","content":"Count to ten."}]}'

.PHONY: test-health
test-health: ## Ask a running server how it is
	$(CURL) $(URL)/health
	echo

.PHONY: test-models
test-models: ## Ask a running server for its models
	$(CURL) $(URL)/v1/models
	echo

.PHONY: quick-test
quick-test: test-health test-models test-hello test-chat ## The four above

##@ Check

.PHONY: lint
lint: ## clippy, warnings as errors
	cargo clippy --workspace --all-targets -- -D warnings

.PHONY: format
format: ## Format the code
	cargo fmt --all

.PHONY: format-check
format-check:
	cargo fmt --all --check

.PHONY: type-check
type-check: ## Check that everything compiles
	cargo check --workspace --all-targets

.PHONY: deny
deny: $(TOOLS)/bin/cargo-deny ## Check licences, sources and bans of the dependencies
	PATH="$(TOOLS)/bin:$$PATH" cargo deny --all-features check licenses bans sources

.PHONY: check-claude
check-claude: release ## Say which Claude CLI is used, and what is missing
	target/release/drover-worker doctor

.PHONY: deploy-check
deploy-check: deny check-claude ## Check dependencies, the CLI, the compose file and the settings
	! command -v docker >/dev/null || docker compose config --quiet
	[ -n "$${API_KEYS:-}" ] || grep -qs '^API_KEYS=.' .env || { echo "API_KEYS is not set: anyone who reaches the port may spend your credit" >&2; exit 1; }
	echo "ready to deploy"

##@ Tell

.PHONY: models
models: ## Names of the models that a running server offers
	@$(CURL) $(URL)/v1/models | grep -o '"id":"[^"]*"' | cut -d'"' -f4

.PHONY: info
info: ## Versions of Drover, the toolchain and the settings in force
	@echo "drover  $$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)"
	echo "cargo   $$(cargo --version 2>/dev/null || echo missing)"
	echo "npm     $$(npm --version 2>/dev/null || echo missing)"
	echo "docker  $$(docker --version 2>/dev/null || echo missing)"
	echo "url     $(URL)"

.PHONY: help
help: ## This list
	@awk 'BEGIN { FS = ":.*## " } /^##@/ { printf "\n%s\n", substr($$0, 5) } /^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# ---- What the commands above are made of ----

comma := ,

.PHONY: need-cargo need-npm
need-cargo:
	@command -v cargo >/dev/null || { echo "Rust is missing; install it from https://rustup.rs, then run this again" >&2; exit 1; }
	command -v cc >/dev/null || { echo "a C compiler is missing: apt-get install -y build-essential" >&2; exit 1; }

need-npm:
	@[ -n "$${CLAUDE_BINARY_PATH:-}" ] || command -v npm >/dev/null || { echo "npm is missing (it installs the Claude CLI): apt-get install -y nodejs npm" >&2; exit 1; }

$(TOOLS)/bin/cargo-deny:
	cargo install --quiet --locked --debug cargo-deny@0.20.2 --root $(TOOLS)

# run(directory of the binaries): api and workers until Ctrl-C, or until the api or the last worker dies.
define run
	bin=$(1); ready=$$(mktemp -d); pids=()
	finish() { kill "$${pids[@]}" 2>/dev/null || true; wait; rm -rf "$$ready"; }
	trap finish EXIT
	stopped=; trap stopped=1 INT
	DROVER_READY_FILE=$$ready/api $$bin/drover-api & pids+=($$!)
	for n in $$(seq $(WORKERS)); do DROVER_READY_FILE=$$ready/worker$$n $$bin/drover-worker & pids+=($$!); done
	alive() { for pid in "$${pids[@]}"; do kill -0 "$$pid" 2>/dev/null || return 1; done; }
	until [ "$$(ls "$$ready" | grep -cv draft)" -gt $(WORKERS) ]; do alive || exit 1; sleep 0.1; done
	url=http://$$(grep -o '"address":"[^"]*"' $$ready/api | cut -d'"' -f4)
	echo
	echo "Drover listens at $$url with $(WORKERS) workers. Try:"
	echo
	echo "  curl -N $$url/v1/chat/completions -H 'content-type: application/json' -d '{\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"Hello!\"}]}'"
	echo
	some_worker() { for pid in "$${pids[@]:1}"; do kill -0 "$$pid" 2>/dev/null && return; done; false; }
	# A worker that dies is missed by nobody, as long as there is another.
	while [ -z "$$stopped" ] && kill -0 "$${pids[0]}" 2>/dev/null && some_worker; do wait -n || true; done
endef
