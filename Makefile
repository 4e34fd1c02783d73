# What one can do here. `make` alone lists it.

CARGO ?= cargo

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: build ## one etcd on three real clusters, on this machine: written, cut, healed (needs root)
	$(CARGO) run -q -p atoll-e2e --bin demo

.PHONY: test
test: lint unit sim conformance real e2e ## everything CI runs (needs root for the real clusters)

.PHONY: unit
unit: ## tests that need no cluster
	$(CARGO) test -p atoll -p atoll-lab -p atoll-apiserver

.PHONY: sim
sim: ## the whole controller in virtual time, with faults; SEEDS=100000 runs on, FIRST=n begins elsewhere
	$(CARGO) sim-test
	$(CARGO) sim $(if $(SEEDS),run --seeds $(SEEDS) --first $(or $(FIRST),0),ci)

.PHONY: planted
planted: ## plants bugs in a copy of the sources, one at a time, and sees that the simulation catches each (long)
	$(CARGO) sim planted

.PHONY: conformance
conformance: ## the simulated and a real kube-apiserver give the same answers to 2,000 sequences of requests
	$(CARGO) test -p atoll-conformance

.PHONY: real
real: ## the simulation's scenarios on real kube-apiservers, without root; ATOLL_REAL=full plays them all
	$(CARGO) test -p atoll-real-apiservers

.PHONY: e2e
e2e: build ## tests on real clusters (needs root); ATOLL_E2E=full runs the long ones too
	$(CARGO) test -p atoll-e2e -- --test-threads=1

.PHONY: stand-ins
stand-ins: ## the stand-in observer's own tests; nothing in Atoll uses it yet, so CI does not run them (needs Go)
	cd tests/stand-ins/observer && go vet ./... && go test ./...

.PHONY: bench
bench: ## what registered workers cost, as a table: memory, sockets, time of a start, beside kube's stock client
	$(CARGO) build --release -p atoll -p atoll-bench
	target/release/fleet

.PHONY: build
build: ## the operator and the lab
	$(CARGO) build -p atoll -p atoll-lab

.PHONY: lint
lint: ## rustfmt and clippy, warnings denied
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings

.PHONY: crds
crds: ## write the generated CRDs anew
	$(CARGO) run -q -p atoll -- crds --into crds
	cp crds/*.yaml charts/atoll/crd-files/

.PHONY: deploy
deploy: ## write the plain manifests anew from the chart
	HELM="$$($(CARGO) run -q -p atoll-lab -- bin helm)" deploy/render

.PHONY: lab-up
lab-up: build ## start a master and three workers on this machine (needs root)
	$(CARGO) run -q -p atoll-lab -- up

.PHONY: lab-down
lab-down: ## take them down, and clear what a crash left behind
	$(CARGO) run -q -p atoll-lab -- down

.PHONY: image
image: ## the static binary that the image holds, for machines without Docker
	RUSTFLAGS="-C target-feature=+crt-static" $(CARGO) build --release -p atoll --target x86_64-unknown-linux-gnu
