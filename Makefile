# Two commands do everything on a fresh machine with Python >= 3.11 and make:
#   make demo   the whole pipeline on the embedded stack, verified
#   make test   linters, types, import laws and all tests but the slow ones
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
# Set-up does not depend on where a user's pip installs to, nor on which packages lie on PYTHONPATH: of pip's
# variables only those stay that say where packages come from (fraudctl/environment.py has the same list).
PIP_KEPT := CACHE_DIR CERT CLIENT_CERT CONFIG_FILE DEFAULT_TIMEOUT EXTRA_INDEX_URL FIND_LINKS INDEX_URL \
  KEYRING_PROVIDER NO_CACHE_DIR NO_INDEX PROXY RETRIES TIMEOUT TRUSTED_HOST USE_FEATURE
PIP_DROPPED := $(filter-out $(PIP_KEPT:%=PIP_%),$(shell env | sed -n 's/^\(PIP_[A-Za-z0-9_]*\)=.*/\1/p'))
SETUP := env $(PIP_DROPPED:%=-u %) -u PYTHONPATH -u PYTHONHOME -u PYTHONSTARTUP
PIP := $(SETUP) $(BIN)/python -m pip install --no-user --quiet --disable-pip-version-check
# Two at a time: what one test waits for, another can use. Tests of one file stay together and share its stack;
# files begin in the order of tests/conftest.py, the long ones first.
PYTEST := $(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder
# Without --quiet, which hides warnings from --strict too. Material announces the end of MkDocs 1 at every start.
MKDOCS := NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --config-file mkdocs.yml

.DEFAULT_GOAL := help
.PHONY: help setup demo lint docs reference test test-slow test-engine kill-matrix prove bench lock wheel clean

help:  ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 20

setup: $(READY)  ## Virtual environment with pinned, hash-checked packages

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "error: fraudctl needs Python 3.11 or newer; try: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null \
	  || { echo "error: this Python cannot make virtual environments; install its venv package (Debian: python3-venv)" >&2; exit 1; }
	$(SETUP) $(PYTHON) -m venv --clear $(VENV)
	$(PIP) --require-hashes -r requirements.lock
	PIP_REQUIRE_HASHES=0 $(PIP) --no-deps --no-build-isolation --editable .
	@test -x $(BIN)/fraudctl \
	  || { echo "error: pip has not put fraudctl into $(VENV); its configuration sends packages elsewhere: $(BIN)/python -m pip config list" >&2; exit 1; }
	@touch $(READY)

demo: $(READY)  ## up, produce, detect, verify: with a picture, in about two minutes
	@$(BIN)/fraudctl demo $(ARGS)

lint: $(READY)  ## ruff, mypy --strict, import-linter, reference pages, the documents' links
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m tools.reference --check
	$(MKDOCS)

docs: $(READY)  ## Build the documentation into build/site
	$(MKDOCS)

reference: $(READY)  ## Write docs/reference anew from the code
	$(BIN)/python -m tools.reference

test: lint  ## Everything but the slow suites; ARGS="-k windows" narrows it down
	$(PYTEST) -m "not slow and not engine" $(ARGS)

test-engine: $(READY)  ## The suites that need a Docker engine
	$(BIN)/pytest -m engine $(ARGS)

test-slow: $(READY)  ## What is slow and no bar: other users, wheels, replays, drills
	$(PYTEST) -m "slow and not bar and not engine" $(ARGS)

prove: $(READY)  ## Every reliability bar, and one table of their figures (also build/bars.json)
	@rm -rf build/bars; mkdir -p build
	@PROVE_BARS=build/bars $(PYTEST) -m "bar and not engine" $(ARGS); tests=$$?; \
	  $(BIN)/python -m tests.support.bars build/bars build/bars.json && exit $$tests

kill-matrix: $(READY)  ## 20 kills at each failpoint, 50 at random moments, 30 zombies, 20 double starts (hours)
	PROVE_WHOLE_MATRIX=1 $(BIN)/pytest -s -m "slow and bar" tests/e2e/test_kill_matrix.py tests/e2e/test_kill.py \
	  tests/e2e/test_zombie.py tests/e2e/test_two_detectors.py $(ARGS)

bench: $(READY)  ## Speed beside naive Spark, Flink and an earlier commit; ARGS=--quick, ARGS="drain producers"
	@$(BIN)/python -m benchmarks $(ARGS)

lock: $(READY)  ## Resolve the Python packages anew, Flink's for the benchmarks too (needs uv)
	uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-emit-find-links --no-header --quiet --output-file requirements.lock
	uv pip compile benchmarks/flink/requirements.in --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-emit-find-links --no-header --quiet --output-file benchmarks/flink/requirements.lock

wheel: $(READY)  ## Build the wheel into dist/
	$(BIN)/python -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .

clean:  ## Remove the virtual environment and everything built
	rm -rf $(VENV) dist build .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
