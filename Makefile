# Two commands on a fresh machine: `make demo` and `make test`. Each does all of its own set-up.
SHELL := /bin/bash
.DEFAULT_GOAL := help
VENV := .venv
BIN := $(VENV)/bin
UV := $(or $(shell command -v uv 2>/dev/null),.uv/bin/uv)
PYTHON := $(shell cat .python-version)
READY := $(VENV)/.ready
# else each of the many processes that tests and demo start would compile the libraries anew: 18 s instead of 7
unexport PYTHONDONTWRITEBYTECODE


.PHONY: help setup demo test lint types pytest tables docs pictures matrix audit sbom wheel-check constraints clean

help:  ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

setup: $(READY)  ## make a ready .venv (Python 3.10 and pinned dependencies)

demo: $(READY)  ## two real clips, from file to report (runs/demo/report.html)
	@$(BIN)/hybrid demo --out runs/demo

test: $(READY) lint types pytest  ## lint, types, import rules and every test

lint: $(READY)
	@$(BIN)/ruff check --quiet . && $(BIN)/ruff format --check --quiet . && echo "lint: ok"
	@out=$$($(BIN)/lint-imports 2>&1) && echo "import rules: ok" || { echo "$$out"; exit 1; }

types: $(READY)
	@$(BIN)/mypy --no-error-summary && echo "types: ok"

# in two processes; Lava's own tests apart, as its many processes wait for each other by the clock
ALONE := tests/contract tests/snn_export/test_lava.py tests/snn_export/test_lava_runner.py
pytest: $(READY)
	@OMP_WAIT_POLICY=PASSIVE $(BIN)/python -m pytest -n 2 --dist loadfile $(ALONE:%=--ignore=%)
	@$(BIN)/python -m pytest -n 2 --dist loadfile $(ALONE)

tables: $(READY)  ## the paper's tables, every method counted anew (runs/tables; a few minutes)
	@$(BIN)/python -m benchmarks.tables --out runs/tables

docs: $(READY)  ## the documentation as a site, without a network (runs/site/index.html)
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet --strict && echo "docs: runs/site/index.html"

pictures: $(READY)  ## the pictures of README and documentation, drawn anew from real runs (docs/pictures; some minutes)
	@$(BIN)/python -m tools.pictures

wheel-check: $(READY)  ## build the wheel and run the demo from it, in a clean environment
	@bash .ci/wheel-check

matrix:  ## the tests on every Python from 3.10 to 3.13 of this machine, with the newest libraries
	@.ci/matrix

audit: $(READY)  ## known holes in the pinned dependencies, as far as the advisory services are reached
	@$(BIN)/python .ci/audit.py

sbom: $(READY)  ## what the environment is made of, as CycloneDX (dist/sbom.json)
	@$(BIN)/python .ci/sbom.py dist/sbom.json

constraints: $(UV)  ## pin every dependency anew
	@$(UV) pip compile --quiet --generate-hashes --python $(PYTHON) --no-emit-index-url --no-header --no-annotate \
	  --extra lava --extra dev pyproject.toml -o constraints.txt

clean:
	@rm -rf $(VENV) .uv dist build runs

$(READY): pyproject.toml constraints.txt .python-version | $(UV)
	@echo "setup: $(VENV) (Python $(PYTHON), pinned dependencies; about a minute the first time)"
	@$(UV) venv --quiet --clear --python $(PYTHON) $(VENV) || { \
	  echo "setup failed: no Python $(PYTHON) was found and none could be fetched. Install it (pyenv install $(PYTHON), or your system's python$(PYTHON)) and run make again." >&2; exit 1; }
	@$(UV) pip install --quiet --python $(BIN)/python -c constraints.txt -e '.[lava,dev]' || { \
	  echo "setup failed: the packages could not be installed; the message above says which. Check the network and disk space (6 GB), then run make again." >&2; exit 1; }
	@touch $@

.uv/bin/uv:
	@echo "setup: uv is not on this machine; putting it into .uv"
	@python3 -m venv .uv && .uv/bin/pip install --quiet uv 2>&1 | { grep -v '^WARNING' || true; } ; test -x $@ || { \
	  echo "setup failed: uv could not be installed. Install it by hand (pip install uv) and run make again." >&2; exit 1; }
