# Needs make and Python 3.11 or newer; everything else goes into .venv, with the versions of constraints.txt.
#
#   make demo    train, sample and export a small model, and say where the pictures are
#   make test    the whole suite, core, probe and plugins; ARGS="-m full": the long products of recipes, samplers and
#                formats, and kills at random moments; ARGS="-m gpu": what needs a CUDA device
#   make wheels  core, each plugin and all of them as installed wheels: trained, and each plugin's tests on its own wheel
#   make check   format, lint, types
#   make docs    rewrite docs/spec.md from the specs
#   make env     install what the other targets need
#   make clean   remove .venv and caches; runs are kept
#
# PYTHON=python3.12 names another interpreter, PIP_FLAGS="..." is handed to pip, ARGS="..." to demo and to pytest.

PYTHON ?= python3
PIP_FLAGS ?=
ARGS ?=
VENV := .venv
RUN := $(VENV)/bin/python
PIP := $(RUN) -m pip --disable-pip-version-check install --quiet $(PIP_FLAGS) -c constraints.txt
# Said before anything is installed.
SIZE := On Linux the torch of the default index brings several gigabytes of CUDA libraries; without a GPU: \
    make $(MAKECMDGOALS) PIP_FLAGS="--extra-index-url URL", the URL that https://pytorch.org/get-started/locally/ shows for CPU
SAY_SIZE = $(if $(PIP_FLAGS),,@[ "$$(uname)" != Linux ] || echo '$(SIZE)')
PLUGINS := $(patsubst %/pyproject.toml,%,$(wildcard plugins/*/pyproject.toml))
METADATA := pyproject.toml constraints.txt

# Models as small as the tests' are slower on several threads; pytest runs two processes instead. Each begins with half of the
# tests in their order, so that what the tests of a file share is made once.
ONE_THREAD := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1

.PHONY: demo test wheels check docs env clean

demo: $(VENV)/.core
	$(RUN) -m aerepr demo $(ARGS)

test: $(VENV)/.dev
	$(ONE_THREAD) $(RUN) -m pytest -n 2 --dist worksteal --durations 10 $(ARGS) tests $(wildcard plugins/*/tests)

wheels: $(VENV)/.dev
	$(ONE_THREAD) $(RUN) -m pytest -n 2 --dist worksteal -m full tests/packaging/test_wheels.py

check: $(VENV)/.dev
	$(RUN) -m ruff format --check .
	$(RUN) -m ruff check .
	$(RUN) -m mypy

docs: $(VENV)/.core
	$(RUN) docs/generate.py

env: $(VENV)/.dev

clean:
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp is younger than the metadata it was installed from; the environment is made anew only if it is not there.
$(VENV)/.python:
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11))" || { \
	    echo "aerepr needs Python 3.11 or newer, and $(PYTHON) is: $$($(PYTHON) --version 2>&1)" >&2; \
	    echo "Name another interpreter: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.core: $(VENV)/.python $(METADATA)
	$(SAY_SIZE)
	$(PIP) -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.python $(METADATA) tests/probe/pyproject.toml $(PLUGINS:%=%/pyproject.toml)
	$(SAY_SIZE)
	$(PIP) -e ".[dev]"
	$(PIP) --no-build-isolation --no-deps -e tests/probe
	$(if $(PLUGINS),$(PIP) --no-build-isolation $(PLUGINS:%=-e %))
	@touch $(VENV)/.core $@
