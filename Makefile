# make demo: see it working, with no account and no network. make test: all tests.
PYTHON ?= python3
LISTEN ?= 127.0.0.1:9719
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help demo test lint format docs benchmarks clean

help: ## list these targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/'

demo: $(VENV)/.run ## run the monitor against the simulated exchange, faults included
	$(BIN)/alpmon demo --listen $(LISTEN)

# Integration tests judge what happens in real time, and spend most of it waiting: they run beside each other, one a core,
# but never beside those that keep the machine busy.
test: $(VENV)/.test ## run all tests
	$(BIN)/pytest -n auto --ignore=tests/integration $(PYTEST_ARGS)
	$(BIN)/pytest -n auto -m busy tests/integration $(PYTEST_ARGS)
	$(BIN)/pytest -n auto --dist worksteal -m 'not busy' tests/integration $(PYTEST_ARGS)

lint: $(VENV)/.lint ## ruff, mypy --strict, import-linter, hadolint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/hadolint Dockerfile

format: $(VENV)/.lint ## put the code into shape
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/.test ## write what is generated anew: pages of docs/, dashboards, rules, files of the chart
	$(BIN)/python -m alpmon.telemetry.docs > docs/metrics.md
	$(BIN)/python -m alpmon.config.docs > docs/configuration.md
	$(BIN)/python -m grafana.source.rules > grafana/rules/alpmon.rules.yaml
	$(BIN)/python -m alpmon.probe.check.report > docs/check.schema.json
	$(BIN)/python -m alpmon.web.schemas status > docs/status.schema.json
	$(BIN)/python -m alpmon.web.schemas recordings > docs/recordings.schema.json
	$(BIN)/python -m docs.source.runbook > alpmon/web/assets/runbook.html
	$(BIN)/python -m grafana.source
	$(BIN)/python -m helm.source

benchmarks: $(VENV)/.test ## measure; prints tables, fails where what is learnt misses a goal
	$(BIN)/python -m tests.benchmarks.receive_path
	$(BIN)/python -m tests.benchmarks.scrape
	$(BIN)/python -m tests.benchmarks.page
	$(BIN)/python -m tests.benchmarks.cadence
	$(BIN)/python -m tests.benchmarks.rates

clean: ## remove what the targets made
	rm -rf $(VENV) .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache

# pip learnt about dependency groups in 25.1.
$(VENV)/.pip:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	touch $@

$(VENV)/.run: $(VENV)/.pip pyproject.toml
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

$(VENV)/.test: $(VENV)/.run
	$(BIN)/python -m pip install --quiet --group test
	touch $@

$(VENV)/.lint: $(VENV)/.test
	$(BIN)/python -m pip install --quiet --group lint
	touch $@
