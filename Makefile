# Two commands matter to a newcomer: `make up` and `make test`. Everything here is
# also what .ci/run calls, so that a green machine and a green branch mean the same.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# Tools have a module of their own outside go.work, and -modfile does not go with a
# workspace: hence GOWORK=off. LINT is the program itself, which must see the workspace.
TOOL := GOWORK=off go tool -modfile=tools/go.mod
LINT  = $$($(TOOL) -n golangci-lint)

# What other processes, other goroutines and time can disturb.
CONCURRENT := ./internal/eventlog/... ./internal/engine ./internal/projection ./internal/lease \
              ./internal/lifecycle ./internal/topology ./services/...

# Tests of real processes build the binaries themselves, which the test cache cannot
# see: they always run. LOAD measures, so nothing runs beside it. ALONE is everything
# else, of both modules.
WHOLE = ./test/e2e/... ./test/faults/...
LOAD  = ./test/load/...
ALONE = $$(go list work | grep -v -e /test/e2e -e /test/faults -e /test/load -e /test/chaos)

# How tests are printed; .ci/run names gotestsum here, which ends with a count.
GOTEST ?= go test

# The fault harness: SEED repeats a history and SEEDS plays so many from there on,
# WORLDS at a time; MINUTES is how long each; REPORT is a file that gets the record.
SEED    ?=
SEEDS   ?= 1
WORLDS  ?= 3
MINUTES ?= 1
REPORT  ?=

# Which tests of test-kube to run; empty: all, and those of the images.
TESTS ?=

# Where build also writes container images; empty: none.
IMAGES ?=

.PHONY: help up build test race e2e browser test-kube bench chaos lint generate

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

up: ## Start everything here: services, NATS, a stand-in Slack in the browser
	go run ./cmd/slipway up

build: ## Build all binaries into bin/, and images into IMAGES=folder when that is given
	go build -o bin/ ./cmd/...
ifneq ($(IMAGES),)
	cd deploy/image && GOWORK=off go run . "$(abspath $(IMAGES))"
endif

test: ## Run every test that needs Go alone, of both modules
	$(GOTEST) $(ALONE)
ifndef APART
	$(MAKE) --no-print-directory e2e
endif

race: ## Run the concurrent packages under the race detector
	$(GOTEST) -race $(CONCURRENT)

e2e: ## Run real processes from Slack request to deployed service, kill -9 included
	$(GOTEST) -count=1 -timeout=20m $(WHOLE)
ifndef APART
	$(GOTEST) -count=1 $(LOAD)
endif

browser: ## Drive the sandbox page in headless Chromium, which is installed when missing
	@command -v chromium >/dev/null || { apt-get update -q && apt-get install -y -q --no-install-recommends chromium fonts-liberation fonts-noto-color-emoji; }
	$(GOTEST) -count=1 -timeout=10m -tags=browser ./test/browser/...

test-kube: ## Apply deploy/k8s to a real API server, which the first run builds (6 minutes), and test images
	cd test/kube && GOWORK=off $(GOTEST) -count=1 -timeout=30m -run='$(TESTS)' .
ifndef TESTS
	cd deploy/image && GOWORK=off $(GOTEST) -count=1 .
endif

bench: ## Measure throughput, latency, recovery and memory against the floor
	go run ./test/bench

chaos: ## Break three of everything at random for MINUTES, repeatable by SEED; SEEDS=60 plays many
	SEED=$(SEED) SEEDS=$(SEEDS) MINUTES=$(MINUTES) REPORT=$(abspath $(REPORT)) \
		$(GOTEST) -count=1 -timeout=6h -parallel=$(WORLDS) $(if $(filter-out 1,$(SEEDS)),-run=TestChaos) ./test/chaos

lint: ## Check Go and protobuf: vet, golangci-lint, buf lint and format
	go vet work
	$(LINT) run --allow-parallel-runners ./... ./test/...
	$(TOOL) buf lint
	$(TOOL) buf format --diff --exit-code

generate: ## Make gen/ from proto/ and docs/reference/ from the code
	GOWORK=off go tool -modfile=tools/go.mod buf generate
	go test ./internal/arch -run Reference -rewrite
