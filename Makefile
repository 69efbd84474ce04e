# The two commands: `make run` and `make test`. Both make .venv first; nothing but Python 3.11 and make is needed.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
RUN_FLAGS ?=
BENCH_FLAGS ?=
LEADERBOARD_FLAGS ?=

.DEFAULT_GOAL := run
.PHONY: run test lint soak bench bench-check leaderboard scenarios clean

$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || { echo "make: Python 3.11 is needed, found $$($(PYTHON) --version); set PYTHON=/path/to/python3.11"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

run: $(VENV)/.installed  ## a small but real pipeline: generate, check, train, evaluate, package, show (about 4 minutes on 2 cores)
	$(BIN)/python experiments/ppo_convoy.py --total_timesteps 500000 --report $(RUN_FLAGS)

test: $(VENV)/.installed  ## all tests that need neither root nor a display
	$(BIN)/python -m pytest $(TEST_FLAGS)

lint: $(VENV)/.installed  ## ruff, mypy, import linter, hadolint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/hadolint Dockerfile
	bash -n run_docker.sh deploy/push_image.sh

soak: $(VENV)/.installed  ## the long runs
	$(BIN)/python -m pytest -m slow $(TEST_FLAGS)

bench: $(VENV)/.installed  ## speeds beside the yardstick and beside Stable-Baselines3, in one run
	$(BIN)/roadsense bench $(BENCH_FLAGS)

bench-check: $(VENV)/.installed  ## the same, against the newest committed ratios
	$(BIN)/roadsense bench --compare_with $(lastword $(sort $(wildcard benchmarks/results/*_bench.json))) $(BENCH_FLAGS)

leaderboard: $(VENV)/.installed  ## drive docs/leaderboard.md again; fails if the dataset or a figure is not the committed one
	$(BIN)/python benchmarks/leaderboard.py $(LEADERBOARD_FLAGS)

scenarios: $(VENV)/.installed  ## rebuild the networks of the base scenarios from their plain XML
	$(BIN)/python -m roadsense.scenario.build_networks scenarios/base

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis
