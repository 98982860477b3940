# Prepares .venv from the lock file and calls ./manage.py, nothing else.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python manage.py

.DEFAULT_GOAL := help
.PHONY: help demo up check test fuzz schedules forgery permissions crash-matrix chaos mutants verify bench bench-growth bench-soak sbom

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.run ## 100 orders through the four services; needs no server; KEEP=1 leaves it running
	@$(RUN) demo

up: $(VENV)/.run ## the whole stack on PostgreSQL and RabbitMQ, until Ctrl-C
	@$(RUN) up

check: $(VENV)/.dev ## lint, format, imports, types, migrations, settings and OpenAPI; needs no server
	@$(RUN) test checks

test: $(VENV)/.dev ## every check, and tests drawn by the commit, on real servers that it starts itself; ALL=1 runs all
	@$(RUN) test $(if $(ALL),--all)

fuzz: $(VENV)/.dev ## requests of every kind to each service, and no answer that its OpenAPI lacks; QUICK=1; CASES= SEED= SERVICE=
	@$(RUN) fuzz $(if $(QUICK),--quick) $(if $(CASES),--cases $(CASES)) $(if $(SEED),--seed $(SEED)) $(if $(SERVICE),--service $(SERVICE))

schedules: $(VENV)/.run ## 100,000 simulated schedules of the sagas; needs no server
	@$(RUN) schedules

forgery: $(VENV)/.dev ## forged messages and calls with each service's own credentials, all refused
	@$(RUN) forgery

permissions: $(VENV)/.dev ## every call and admin page, tried by everybody; ONLY=SERVICE
	@$(RUN) permissions $(ONLY)

crash-matrix: $(VENV)/.run ## every crash point of every operation; QUICK=1 draws 96 of them; SEED=
	@$(RUN) crash-matrix $(if $(QUICK),--quick) $(if $(SEED),--seed $(SEED))

chaos: $(VENV)/$(if $(filter clock,$(WORSE)),.dev,.run) ## load while everything dies; ORDERS= DURATION= SEED= WORSE=errbacks|continuations|broker|clock
	@$(RUN) chaos $(if $(ORDERS),--orders $(ORDERS)) $(if $(DURATION),--duration $(DURATION)) $(if $(SEED),--seed $(SEED)) $(if $(WORSE),--worse $(WORSE))

mutants: $(VENV)/.dev ## deliberately broken variants, each caught by a test or the audit; ONLY=NAME tries one
	@$(RUN) mutants $(if $(ONLY),--only $(ONLY))

verify: $(VENV)/.dev ## every long check, for hours; goes on where it was stopped; ONLY=NAME runs one again
	@$(RUN) verify $(ONLY)

bench: $(VENV)/.run ## orders per second beside a bare Celery chain; PEERS=1 adds DBOS and Restate
	@$(RUN) bench $(if $(PEERS),--peers)

bench-growth: $(VENV)/.run ## the same with up to a million finished orders in the tables; SIZES=
	@$(RUN) bench --growth $(SIZES)

bench-soak: $(VENV)/.run ## an hour of steady load and an hour idle; memory must stay flat; SECONDS= RATE=
	@$(RUN) bench --soak $(or $(SECONDS),3600) $(if $(RATE),--rate $(RATE))

sbom: $(VENV)/.dev ## the packages of the image with versions and hashes, as CycloneDX in sbom.json
	@$(VENV)/bin/cyclonedx-py requirements requirements.lock --pyproject pyproject.toml --output-reproducible --output-file sbom.json

$(VENV)/.run: requirements.lock | $(VENV)/bin/python
	@$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@touch $@

$(VENV)/.dev: requirements-dev.lock | $(VENV)/bin/python
	@$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@ $(VENV)/.run

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit("Order Saga needs Python 3.11 or newer; set PYTHON=…" if sys.version_info < (3, 11) else 0)'
	@$(PYTHON) -m venv $(VENV)
