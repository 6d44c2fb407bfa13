# Every target makes what it needs, once, in $VECFERRY_CACHE (~/.cache/vecferry);
# nothing is installed into the checkout, which runs its own code by PYTHONPATH.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
PYTHON ?= python3
ifeq ($(VECFERRY_CACHE),)
VECFERRY_CACHE := $(HOME)/.cache/vecferry
endif
export VECFERRY_CACHE
export PYTHONPATH := $(CURDIR)

# caches of the tools, one for each checkout
CHECKS := $(VECFERRY_CACHE)/checks/$(shell printf '%s' '$(CURDIR)' | cksum | cut -d ' ' -f 1)
export RUFF_CACHE_DIR := $(CHECKS)/ruff
export MYPY_CACHE_DIR := $(CHECKS)/mypy
export COVERAGE_FILE := $(CHECKS)/coverage

# recipes begin with one of these: $$python is the environment's
dev := set -euo pipefail; python="$$($(PYTHON) tools/environment.py dev)"
demo := set -euo pipefail; python="$$($(PYTHON) tools/environment.py demo)"

WORKERS ?= 3
PYTEST_FLAGS ?=
pytest = $(PYTHON) tools/contain.py "$$python" -m pytest -p no:cacheprovider \
	-n $(WORKERS) --dist worksteal --durations 15 --durations-min 1 $(PYTEST_FLAGS)

.PHONY: help demo test test-fast chaos lint format docs lock bench clean

help: ## Say what there is.
	@grep -hE '^[a-z-]+:.*## ' Makefile | sed -E 's/^([a-z-]+):.*## /make \1\t/' | expand -t 18

demo: ## Watch a collection move: Milvus Lite, Kafka, Qdrant, on this machine.
	@$(demo); exec "$$python" -m vecferry.cli.main demo

test: lint ## Everything that CI runs: lint, then all tests on real engines.
	@$(PYTHON) tools/jars.py
	@$(PYTHON) tools/weaviate_server.py
	@$(dev); $(pytest) --cov --cov-report term < /dev/null

test-fast: ## The tests that need no engine.
	@$(dev); $(pytest) -m "not kafka and not milvus" \
		tests/test_tidy.py tests/unit $(wildcard tests/property) < /dev/null

N ?= 30
AT_ONCE ?= 2
ifeq ($(SEED),)
SEED := $(shell date +%s)
endif
chaos: ## Kill things at random and compare: N rounds from SEED on, which is printed.
	@$(PYTHON) tools/jars.py
	@echo "seeds $(SEED) to $$(($(SEED) + $(N) - 1)): SEED=$(SEED) N=$(N) makes them again"
	@$(dev); export VECFERRY_CHAOS_SEED=$(SEED) VECFERRY_CHAOS_N=$(N) \
		VECFERRY_CHAOS_AT_ONCE=$(AT_ONCE); \
		$(pytest) -n $(AT_ONCE) -v tests/chaos/test_convergence.py < /dev/null

lint: ## ruff, mypy, import-linter.
	@$(dev); bin="$$(dirname "$$python")"; \
	"$$bin/ruff" check .; \
	"$$bin/ruff" format --check .; \
	"$$bin/mypy" vecferry tools $(if $(wildcard benchmarks/*.py),benchmarks); \
	"$$bin/lint-imports" --no-logo --cache-dir "$(CHECKS)/imports"

format: ## Lay the code out.
	@$(dev); bin="$$(dirname "$$python")"; "$$bin/ruff" check --fix .; "$$bin/ruff" format .

docs: ## Write the tables of docs/configuration.md from the settings.
	@$(dev); "$$python" tools/configuration.py

lock: ## Resolve the locks anew; LOCK_FLAGS=--upgrade takes the newest versions.
	@$(PYTHON) tools/lock.py $(LOCK_FLAGS)

ifneq ($(wildcard benchmarks/*.py),)
bench: ## Measure the speed beside its ceilings.
	@$(PYTHON) tools/jars.py
	@$(PYTHON) tools/weaviate_server.py
	@$(dev); $(PYTHON) tools/contain.py "$$python" -m benchmarks $(BENCH_FLAGS) < /dev/null
endif

clean: ## Remove what the tools wrote; the environments in the cache stay.
	@rm -rf -- "$(CHECKS)" .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
	@find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf -- {} +
