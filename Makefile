# What a person or a CI run types. The work is done by short scripts in hack/; hack/README.md tells how they fit together.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help up down dev clean clean-cache test test-fast test-api test-e2e check fmt openapi bench images env sync

UV := hack/uv
RUN := $(UV) run --frozen
PYTEST := $(RUN) pytest
CACHE := $(or $(ISOLA_CACHE),$(HOME)/.cache/isola)

help: ## Show this
	@awk 'BEGIN {FS = ":.*## "} \
	  /^##@/ {printf "\n%s\n", substr($$0, 5)} \
	  /^[a-z0-9-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@printf '\nThe first `make up` or `make test` on a machine builds Kubernetes and gVisor: some 15 minutes on 2 cores.\n'

##@ The cluster (CLUSTER_NAME=isola ISOLA_PORT=8080 NODE_IMAGE= BASE_IMAGE=)
up: ## Isola on a local two-node cluster with gVisor, and a first sandbox in it; again in seconds
	@hack/setup.sh
dev: ## Watch the source: what changes is in the cluster seconds later
	@hack/dev.sh
down: ## Remove the cluster, and the Docker daemon if `up` had to start it
	@hack/down.sh
env: ## Print what a shell needs to use the cluster: eval "$(make -s env)"
	@hack/env.sh
images: ## Build the images of the components without a cluster, and print their names
	@hack/host.sh start && hack/images.sh

##@ The checks
test: check ## Everything: `check`, then all tests; brings up the cluster that the last of them need
	$(PYTEST)
test-fast: sync ## Tests that need neither an API server nor a cluster: seconds
	$(PYTEST) -m 'not bucket and not apiserver and not e2e'
test-api: sync ## Tests against a real kube-apiserver and real object storage, which they start themselves
	$(PYTEST) -m 'apiserver or bucket'
test-e2e: sync ## Tests on the cluster, driven by the published client
	$(PYTEST) -m e2e
check: sync ## Lint, formatting, types, import contracts, scripts, documents, chart
	$(UV) lock --check
	$(RUN) ruff check
	$(RUN) ruff format --check
	$(RUN) pyright
	$(RUN) lint-imports
	$(RUN) shellcheck hack/*.sh hack/uv hack/runc-without-sys-resource .ci/run
	$(RUN) python hack/openapi.py --check
	$(RUN) python hack/sdk_sync.py --check
	$(RUN) python hack/sdk_reference.py --check
	$(RUN) python hack/dashboards.py --check
	$(RUN) python hack/values.py --check
	"$$(hack/binaries.sh helm)/helm" lint --strict --quiet chart

##@ Development
fmt: sync ## Format, and mend what ruff can
	$(RUN) ruff check --fix
	$(RUN) ruff format
	$(RUN) python hack/sdk_sync.py
	$(RUN) python hack/sdk_reference.py
openapi: sync ## Write api/openapi/ from the running apps
	$(RUN) python hack/openapi.py
bench: sync ## Measure: a running cluster against bare pods and kubectl, a fleet's growth, what history costs
	$(RUN) python tests/benchmarks
clean: ## Remove what checks and tests left in the checkout
	rm -rf .pytest_cache .ruff_cache .hypothesis .schemathesis .import_linter_cache .coverage* build dist
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
clean-cache: down ## Remove the built programs and images too: the next `up` takes as long as the first
	-docker image ls --format '{{.Repository}}:{{.Tag}}' 'isola.local/*' | xargs -r docker image rm --force
	rm -rf "$(CACHE)"

sync:
	@$(UV) sync --frozen --quiet
