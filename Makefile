# make demo: install into .venv, run the shipped ideas until they are done, print the leaderboard.
# make test: the whole suite. Both work from a fresh clone with Python >= 3.11, make and gcc.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed-

.DEFAULT_GOAL := help
.PHONY: help demo test lint bench bench-research simulate nemesis test-nfs fuzz clean

help:
	@sed -n 's/^# \(make .*\)/\1/p' Makefile

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(STAMP)demo: pyproject.toml | $(BIN)/python
	$(BIN)/pip install --quiet --disable-pip-version-check --config-settings editable_mode=compat -e '.[plot,demo]'
	@touch $@

$(STAMP)dev: pyproject.toml | $(BIN)/python
	$(BIN)/pip install --quiet --disable-pip-version-check --config-settings editable_mode=compat -e '.[plot,demo,dev]'
	@touch $@ $(STAMP)demo

demo: $(STAMP)demo
	@$(BIN)/python examples/demo.py

test: $(STAMP)dev # one order of sets for all, so that a simulated schedule that fails can be seen again
	PYTHONHASHSEED=0 $(BIN)/python -m pytest -n 3 --dist loadfile

# make lint: ruff, mypy --strict, the layers, file and function length.
lint: $(STAMP)dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tests/check_sizes.py

# make fuzz TARGET=all MINUTES=12: coverage-guided fuzzing of everything that comes from outside.
TARGET ?= all
fuzz: MINUTES ?= 12
fuzz: $(STAMP)dev
	$(BIN)/pip install --quiet --disable-pip-version-check 'atheris>=3'
	$(BIN)/python tests/fuzz/fuzz.py $(TARGET) $(MINUTES)

# make test-nfs: several kernels over a real NFS mount, as root on Debian; FULL=1 with usual leases and caches.
test-nfs: $(STAMP)dev
	ORZE_NFS_FULL=$(FULL) $(BIN)/python -m pytest tests/nfs -s

# make simulate RUNS=100000: the protocol under simulated faults, on all cores.
RUNS ?= 10000
simulate: $(STAMP)dev
	$(BIN)/python tests/model/campaign.py $(RUNS)

# make nemesis MINUTES=30: real daemons on hosts that are killed, frozen, filled and set wrong, run after run.
nemesis: MINUTES ?= 30
nemesis: $(STAMP)dev
	$(BIN)/python tests/e2e/nemesis.py $(MINUTES)

# make bench: what things cost, as ratios.
bench: $(STAMP)dev
	@for script in bench/*.py; do case $$script in bench/common.py|bench/stage.py|bench/big_farm.py|bench/research.py|bench/scripted.py) ;; *) $(BIN)/python $$script || exit 1;; esac; done

# make bench-research SEEDS=16: the proposers of research against chance, on the digits; five to ten minutes.
SEEDS ?= 16
bench-research: $(STAMP)dev
	@$(BIN)/pip install --quiet --disable-pip-version-check 'optuna>=4'
	@$(BIN)/python bench/research.py --seeds $(SEEDS)

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
