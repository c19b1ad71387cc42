# Everything a newcomer needs: `make demo` and `make test`. Needs Python 3.11 or newer and nothing else.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

MINUTES ?= 30
SEED ?=
FEW ?=

.PHONY: demo docs test slow fuzz mutants check format lint types bench clean

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt "torch==2.13.0"
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev,docs]"
	touch $@

demo: $(READY)  ## bracket the constant of a conv net that ships with the package; a report on it around an image
	$(BIN)/autolip estimate digits-conv
	$(BIN)/autolip estimate digits-conv --center example --radius 0.1 -o report.html

test: $(READY)  ## the tests but for the slow ones; one thread a worker: two would fight over two cores
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 -m "not slow and not long"

slow: $(READY)  ## the slow tests: large networks of others, every method on every shipped network, the pages' commands
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 -m "slow and not long"

fuzz: $(READY)  ## random networks against what they attain: `make fuzz MINUTES=30 SEED=1`
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.fuzz --minutes $(MINUTES) $(if $(SEED),--seed $(SEED))

mutants: $(READY)  ## every mutant in a copy of the tree, and whether the tests notice: `make mutants FEW=10 SEED=1`
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.mutants $(if $(FEW),--few $(FEW)) $(if $(SEED),--seed $(SEED))

docs: $(READY)  ## the site in docs/_build/html, its notebooks executed; a warning is an error
	OMP_NUM_THREADS=2 $(BIN)/python -m sphinx -b html -W --keep-going -q docs docs/_build/html
	@echo "docs/_build/html/index.html"

lint: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(READY)
	$(BIN)/mypy
	$(BIN)/mypy benchmarks

check: lint types test slow docs  ## what CI runs, with a short fuzz of known networks and of fresh ones, and some mutants
	$(MAKE) fuzz MINUTES=0.3 SEED=1
	$(MAKE) fuzz MINUTES=0.3 SEED=
	$(MAKE) mutants FEW=10 SEED=1

format: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(READY)  ## measure seconds, passes and memory; rewrites benchmarks/results
	$(BIN)/python -m benchmarks.estimate

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache
