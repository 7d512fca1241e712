# make demo: environment, demo volume, the whole workflow, a summary.   make test: the tests.   make bench: the benchmarks.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.connectomake
# Plugins of Kubernetes, for the tests: apart, since Snakemake imports all that are installed at each start.
PLUGINS := $(VENV)/plugins
# Google's storage, for its test: apart from those, too.
GCS := $(VENV)/gcs
DEMO := demo/phantom.h5
export MPLBACKEND := Agg
unexport PYTHONDONTWRITEBYTECODE # else each process that a test starts compiles the library anew
export CONNECTOMAKE_PLUGINS := $(abspath $(PLUGINS))
export CONNECTOMAKE_GCS := $(abspath $(GCS))

.PHONY: demo env cluster fib25 test test-fast test-cluster test-slurm test-kubernetes bench lint lock clean help

help:
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

$(STAMP): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, this is " + sys.version)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $@

$(PLUGINS): requirements-cluster.lock $(STAMP)
	rm -rf $@ $@.part
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --target $@.part -r requirements-cluster.lock
	mv $@.part $@

$(GCS): requirements-gcs.lock $(STAMP)
	rm -rf $@ $@.part
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --target $@.part -r requirements-gcs.lock
	mv $@.part $@

$(DEMO): $(STAMP)
	$(BIN)/connectomake phantom $@

demo: $(STAMP) $(DEMO)  ## run the demo and say what was made
	$(BIN)/snakemake --profile profiles/local
	@$(BIN)/connectomake summary config.yaml

env: $(STAMP)  ## the environment: all that a run here or on Slurm needs

cluster: $(STAMP)  ## install what the head of a run on Kubernetes needs into the environment, too
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements-cluster.lock
	@echo "now: snakemake --profile slurm, or --profile kubernetes (docs/slurm.md, docs/kubernetes.md)"

fib25: $(STAMP)  ## the same on real EM (see the README for the data)
	$(BIN)/snakemake --profile profiles/local --configfile configs/fib25.yaml
	@$(BIN)/connectomake summary configs/fib25.yaml

test: $(STAMP) $(PLUGINS) $(GCS)  ## all tests
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

test-fast: $(STAMP)  ## the tests that take less than a second each: three minutes
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not slow and not cluster"

test-cluster: $(STAMP) $(PLUGINS)  ## the tests on real clusters, started on loopback: Slurm, Kubernetes (root on Debian; part of `make test` too)
	$(BIN)/python -m pytest -m cluster

test-slurm: $(STAMP) $(PLUGINS)  ## on Slurm only
	$(BIN)/python -m pytest tests/cluster/test_slurm.py tests/cluster/test_slurm_events.py

test-kubernetes: $(STAMP) $(PLUGINS)  ## on Kubernetes only; builds Kubernetes first if need be (5 to 12 minutes, once)
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
	.lock-venv/bin/pip install --quiet '.[kubernetes]'
	(head -2 requirements-cluster.lock; .lock-venv/bin/pip freeze | grep -v -E '^(connectomake|setuptools|pip)' | sed 's/+cpu//' | grep -v -x -F -f requirements.lock) > requirements.lock.new
	mv requirements.lock.new requirements-cluster.lock
	.lock-venv/bin/pip install --quiet '.[gcs]'
	(head -2 requirements-gcs.lock; .lock-venv/bin/pip freeze | grep -v -E '^(connectomake|setuptools|pip)' | sed 's/+cpu//' | grep -v -x -F -f requirements.lock -f requirements-cluster.lock) > requirements.lock.new
	mv requirements.lock.new requirements-gcs.lock
	rm -r .lock-venv

clean:  ## remove results, not the environment
	rm -rf results demo .snakemake .connectomake
