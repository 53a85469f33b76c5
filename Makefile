# make demo   the two public-domain photographs, then a one-minute training run
# make test   lint, types and every test
# make test-beam   the tests of Apache Beam, in an environment of its own (.venv-beam)
# make lint   ruff and pyrefly alone
# PYTHON=python3.12 make demo   picks the interpreter the environment is made with (3.11 or newer)

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PIP = $(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps
JOBS ?= 2
# pytest arguments, for example: make test T="tests/flame -k rotation"
T ?=

.PHONY: demo test test-beam lint format env lock clean

demo: $(STAMP)
	$(BIN)/python -m launch.demo --out out/demo

test: lint
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal $(T)

# Beam moves protobuf, Pillow and pyarrow back, so it has its own lock and environment.
test-beam: $(VENV)-beam/.installed
	$(VENV)-beam/bin/python -m pytest -p no:cacheprovider tests/data_pipelines/test_beam.py

$(VENV)-beam/.installed: requirements-beam.lock
	@test -x $(VENV)-beam/bin/python || $(PYTHON) -m venv $(VENV)-beam
	$(VENV)-beam/bin/python -m pip install -qq --disable-pip-version-check --no-deps \
	  -r requirements-beam.lock
	@touch $@

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyrefly check

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

env: $(STAMP)

# The lock names every version, so pip has nothing to resolve (--no-deps), which is most of its time.
$(STAMP): requirements.lock setup.py pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "OFER needs Python 3.11 or newer; $(PYTHON) is not. Try: make PYTHON=python3.12" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { \
	  echo "Could not make $(VENV); on Debian and Ubuntu first: apt install python3-venv" >&2; exit 1; }
	@echo "Installing into $(VENV) (once; about half a minute on a good line) ..."
	$(PIP) -r requirements.lock
	$(PIP) --no-build-isolation -e .
	@touch $@

# Needs uv. One lock for both Pythons: environment markers tell them apart.
lock:
	uv pip compile --universal --python-version 3.11 --no-header --no-annotate --no-emit-index-url \
	  --extra data --extra test --extra plots --quiet setup.py requirements.in -o requirements.lock
	uv pip compile --universal --python-version 3.11 --no-header --no-annotate --no-emit-index-url \
	  --extra data --extra test --extra beam --quiet setup.py requirements.in -o requirements-beam.lock

clean:
	rm -rf $(VENV) $(VENV)-beam out
