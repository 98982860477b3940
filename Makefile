# Prepares .venv from the lock file and calls ./manage.py, nothing else.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python manage.py

.PHONY: help demo up bench bench-growth bench-soak chaos crash-matrix test schedules mutants check

help:
	@echo "make demo   100 orders through the four services; needs no server"
	@echo "make test   every test, on real servers it starts itself"
	@echo "make crash-matrix  every crash point of every operation; QUICK=1 tries 96 of them"
	@echo "make chaos  load while everything dies; ORDERS= DURATION= SEED= WORSE=errbacks|continuations|broker|clock"
	@echo "make schedules  100,000 simulated schedules of the sagas; needs no server"
	@echo "make mutants  deliberately broken variants, each caught by a test or the audit; ONLY=NAME tries one"
	@echo "make up     the whole stack on PostgreSQL and RabbitMQ"
	@echo "make bench  orders per second, against a bare Celery chain; PEERS=1: DBOS and Restate too"
	@echo "make bench-growth  the same with up to a million finished orders in the tables"
	@echo "make bench-soak  an hour of steady load; memory must stay flat; SECONDS= RATE="

demo: $(VENV)/.run
	@$(RUN) demo

up: $(VENV)/.run
	@$(RUN) up

crash-matrix: $(VENV)/.run
	@$(RUN) crash-matrix $(if $(QUICK),--quick) $(if $(SEED),--seed $(SEED))

chaos: $(VENV)/$(if $(filter clock,$(WORSE)),.dev,.run)
	@$(RUN) chaos $(if $(ORDERS),--orders $(ORDERS)) $(if $(DURATION),--duration $(DURATION)) $(if $(SEED),--seed $(SEED)) $(if $(WORSE),--worse $(WORSE))

bench: $(VENV)/.run
	@$(RUN) bench $(if $(PEERS),--peers)

bench-growth: $(VENV)/.run
	@$(RUN) bench --growth $(SIZES)

bench-soak: $(VENV)/.run
	@$(RUN) bench --soak $(or $(SECONDS),3600) $(if $(RATE),--rate $(RATE))

test: $(VENV)/.dev
	@$(RUN) test

schedules: $(VENV)/.run
	@$(RUN) schedules

mutants: $(VENV)/.dev
	@$(RUN) mutants $(if $(ONLY),--only $(ONLY))

$(VENV)/.run: requirements.lock | $(VENV)/bin/python
	@$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@touch $@

$(VENV)/.dev: requirements-dev.lock | $(VENV)/bin/python
	@$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@ $(VENV)/.run

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit("Order Saga needs Python 3.11 or newer; set PYTHON=…" if sys.version_info < (3, 11) else 0)'
	@$(PYTHON) -m venv $(VENV)
