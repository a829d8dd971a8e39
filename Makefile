SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
unexport PYTHONDONTWRITEBYTECODE

VENV := .venv
BIN := $(VENV)/bin
ARGS ?=

.PHONY: help install run test fuzz check format docs lock audit train bench soak

help:  ## This list
	@sed -nE 's/^([a-z]+):.*## (.*)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

install: $(VENV)/.installed  ## Prepare .venv; does nothing where it is ready

$(VENV)/.installed: pyproject.toml .ci/venv
	@.ci/venv $(VENV)
	@touch $@

run: install  ## Start Lookback and print its address; ARGS="--port 9000 --model …"
	@exec $(BIN)/lookback serve $(ARGS)

test: install  ## Install what the tests need and run them; ARGS="tests/server -k offer"
	@.ci/packages chromium coturn curl faketime ffmpeg haproxy redis-server emoji gstreamer
	@$(BIN)/python -m pytest $(or $(ARGS),-n 2 --dist loadfile)

fuzz: install  ## Throw 3,000 hostile inputs at each of the gateway's doors; ARGS="-k offer"
	@LOOKBACK_FUZZ_EXAMPLES=$${LOOKBACK_FUZZ_EXAMPLES:-3000} \
	  $(BIN)/python -m pytest --timeout 3600 tests/server/test_fuzz_*.py $(ARGS)

check: install node_modules/.installed  ## Style and types of the Python and of the page
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	npm run --silent check

node_modules/.installed: package.json package-lock.json
	@.ci/packages node npm
	npm ci --silent --no-audit --no-fund
	@touch $@

format: install  ## Put the Python in its form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: install  ## Write docs/openapi.json, docs/asyncapi.json and docs/settings.md from the code
	$(BIN)/python -m server.documents
	$(BIN)/python -m lookback.reference

PIN = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate \
  --custom-compile-command "make lock" $(ARGS)

lock: install  ## Pin what the images install, with hashes; ARGS=--upgrade takes newer versions
	$(PIN) pyproject.toml --extra tracing -o requirements/all.txt
	for part in build gateway worker; do \
	  $(PIN) requirements/$$part.in -c requirements/all.txt -o requirements/$$part.txt; done
	$(PIN) requirements/worker-cpu.in -c requirements/all.txt -o requirements/worker-cpu.txt \
	  --override <(echo "torch; sys_platform == 'none'")

audit: install node_modules/.installed  ## Ask for known vulnerabilities in what is pinned
	$(BIN)/pip-audit --strict --disable-pip --require-hashes -r requirements/all.txt
	npm audit

train: install  ## Train lookback-mini again, or on (hours, in runs/); goes on where it was stopped
	@.ci/packages emoji
	$(BIN)/python -m training.material --out runs/material
	$(BIN)/python -m training.tower --begin models/lookback-mini --out runs/tower
	test -e runs/bank.pt || $(BIN)/python -m training.bank --tower runs/tower/state.pt --out runs/bank.pt
	$(BIN)/python -m training.decoder --bank runs/bank.pt --tower runs/tower/state.pt --out runs/decoder $(ARGS)
	$(BIN)/python -m training.export --state runs/decoder/state.pt --out runs/lookback-mini
	$(BIN)/python -m training.evaluate --state runs/lookback-mini --out runs/accuracy.json
	$(BIN)/python -m training.evaluate --state runs/lookback-mini --plain-share 1 --out runs/accuracy-plain.json
	$(BIN)/python -m training.card --accuracy runs/accuracy.json --plain runs/accuracy-plain.json --out runs/lookback-mini/README.md
	$(BIN)/python -m training.curve --tower runs/tower/log.jsonl --decoder runs/decoder/log.jsonl --out runs/curve.png

bench: install  ## Run the benchmarks (half an hour)
	for name in compress ingest ttft sessions page load endless; do $(BIN)/lookback bench $$name; done

soak: install  ## Half an hour at 80 % of capacity: does any process grow? ARGS="--minutes 600"
	@$(BIN)/lookback bench soak $(ARGS)
