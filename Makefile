# Six words: demo up down test check bench; with -cluster behind them demo, test and bench are played on the cluster
# that kubectl points at. Each brings what it needs: uv (into .tools, unless it is on PATH) and the locked environment
# (into .venv).
.DEFAULT_GOAL := help
.SILENT:

PYTHON ?= python3
STAMP := .venv/.synced
RUN := .venv/bin/
# Byte code is kept, whatever the shell says (images of Python often forbid it): without it every process that is
# started compiles our sources anew, and pytest rewrites its files anew in each of its workers.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help demo up down test check bench demo-cluster test-cluster bench-cluster

help:
	echo "make demo   the whole arc on this machine, from nothing to the final table"
	echo "make up     start the one-machine stack; make down ends it"
	echo "make check  format, lint, types, import contracts, fast tests: under a minute"
	echo "make test   everything that is tested, as CI runs it"
	echo "make bench  the figures of the README, measured on this machine"
	echo "make demo-cluster, test-cluster, bench-cluster   the same on the cluster that kubectl points at"

demo: $(STAMP)
	$(RUN)x1 demo $(DEMO)

up: $(STAMP)
	$(RUN)x1 up

down: $(STAMP)
	$(RUN)x1 down

check: $(STAMP)
	echo "· format";           $(RUN)ruff format --check --quiet .
	echo "· lint";             $(RUN)ruff check --quiet .
	echo "· import contracts"; $(RUN)lint-imports --no-cache > .venv/imports.log || { cat .venv/imports.log; exit 1; }
	echo "· types, beside the fast tests"; \
	$(RUN)pyright --warnings > .venv/types.log & types=$$!; \
	$(RUN)pytest -q -n auto --dist worksteal -m "not real and not e2e and not cluster"; tests=$$?; \
	wait $$types || { cat .venv/types.log; exit 1; }; exit $$tests

test: $(STAMP)
	echo "· fast tests";                $(RUN)pytest -q -n auto --dist worksteal -m "not real and not e2e and not cluster"
	echo "· tests with real parts";     $(RUN)pytest -q -n 2 --dist loadfile -m "real and not e2e and not cluster" --timeout 300
	echo "· the whole stack (minutes)"; $(RUN)pytest -q -n 2 --dist loadfile -m e2e --timeout 600 --durations 12 || [ $$? -eq 5 ]

bench: $(STAMP)
	$(RUN)python -m tests.bench $(BENCH)

demo-cluster: $(STAMP)
	$(RUN)x1 cluster demo $(DEMO)

# TESTS=tests/cluster/test_arc.py plays one file of them.
TESTS ?= tests/cluster
test-cluster: $(STAMP)
	echo "· tests on the cluster (half an hour)"; $(RUN)pytest -q -m cluster $(TESTS) --timeout 900 --durations 15

bench-cluster: $(STAMP)
	$(RUN)python -m tests.bench.cluster $(BENCH)

$(STAMP): pyproject.toml uv.lock .ci/bootstrap
	PYTHON="$(PYTHON)" .ci/bootstrap
	touch $@
