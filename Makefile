# make demo   set up, then generate the shipped examples and say where their gallery is
# make test   set up, then lint, types and the whole test suite
# make campaign   set up, then kill workers, ranks, nodes and drivers under a run, and read spoilt files: a few minutes
#
# All are complete on a fresh machine with Python >= 3.11. PYTHON=python3.12 picks another interpreter,
# VENV=DIR another place for the environment.

PYTHON ?= python3
VENV ?= .venv
OUTPUT ?= outputs/demo
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test campaign check format clean

demo: $(READY)
	$(BIN)/airshower generate configs/examples --output $(OUTPUT)
	@echo "open $(abspath $(OUTPUT))/index.html in a browser"

test: check
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

campaign: $(READY)
	$(BIN)/python -m tests.campaigns.faults --rows 8 --faults 5
	$(BIN)/python -m tests.campaigns.hostile_files --files 60

check: $(READY)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

format: $(READY)
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

# The stamp is written last: an installation that was cut short starts over.
$(READY): constraints.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and f"Python {sys.version.split()[0]} is too old, Airshower needs 3.11 or newer: make PYTHON=python3.12")'
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --constraint constraints.txt --editable . --group dev
	touch $(READY)

clean:
	rm -rf $(VENV) build dist airshower.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
