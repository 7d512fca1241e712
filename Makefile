# make demo: environment, demo volume, the whole workflow, a summary.   make test: the tests.   make bench: the benchmarks.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.connectomake
DEMO := demo/phantom.h5
export MPLBACKEND := Agg

.PHONY: demo fib25 test test-fast test-cluster test-slurm test-kubernetes bench lint lock clean help

help:
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

$(STAMP): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, this is " + sys.version)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $@

$(DEMO): $(STAMP)
	$(BIN)/connectomake phantom $@

demo: $(STAMP) $(DEMO)  ## run the demo and say what was made
	$(BIN)/snakemake --profile profiles/local
	@$(BIN)/connectomake summary config.yaml

fib25: $(STAMP)  ## the same on real EM (see the README for the data)
	$(BIN)/snakemake --profile profiles/local --configfile configs/fib25.yaml
	@$(BIN)/connectomake summary configs/fib25.yaml

test: $(STAMP)  ## all tests
	$(BIN)/python -m pytest -n 2 --dist loadfile

test-fast: $(STAMP)  ## the tests that need no workflow run
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow and not cluster"

test-cluster: $(STAMP)  ## the tests on real clusters, started on loopback: Slurm, Kubernetes (root on Debian; part of `make test` too)
	$(BIN)/python -m pytest -m cluster

test-slurm: $(STAMP)  ## on Slurm only
	$(BIN)/python -m pytest tests/cluster/test_slurm.py

test-kubernetes: $(STAMP)  ## on Kubernetes only; builds Kubernetes first if need be (12 minutes, once)
	CONNECTOMAKE_CLUSTER_BUILD=1 $(BIN)/python -m pytest -s tests/cluster/test_kubernetes.py

bench: $(STAMP)  ## the benchmarks: a table, and benchmarks/results.json
	$(BIN)/python -m benchmarks

lint: $(STAMP)  ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/snakefmt --check Snakefile workflow

lock:  ## resolve requirements.lock anew
	$(PYTHON) -m venv --clear .lock-venv
	.lock-venv/bin/pip install --quiet '.[test,dev]'
	(head -2 requirements.lock; .lock-venv/bin/pip freeze | grep -v -E '^(connectomake|setuptools|pip)' | sed 's/+cpu//') > requirements.lock.new
	mv requirements.lock.new requirements.lock
	rm -r .lock-venv

clean:  ## remove results, not the environment
	rm -rf results demo .snakemake .connectomake
