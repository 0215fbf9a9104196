# Every target works on a fresh machine with Python 3.11, make and a package index.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin

.PHONY: demo test check format docs bench lock clean
.DEFAULT_GOAL := demo

# --no-deps: the lock file is complete, and nothing outside it is to be installed.
$(VENV)/base: requirements/base.lock pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements/base.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

$(VENV)/dev: $(VENV)/base requirements/dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements/dev.lock
	touch $@

demo: $(VENV)/base  ## write the demonstration case, plan it, say where the report is
	$(BIN)/endplate demo endplate-demo

test: $(VENV)/dev  ## all tests but those of the house rules, which `check` runs
	$(BIN)/python -m pytest -n 2 tests

check: $(VENV)/dev  ## format, lint, types, house tests
	$(BIN)/ruff format --check src tests bench docs tools
	$(BIN)/ruff check src tests bench docs tools
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/house

format: $(VENV)/dev
	$(BIN)/ruff format src tests bench docs tools
	$(BIN)/ruff check --fix src tests bench docs tools

docs: $(VENV)/dev  ## write the generated reference pages anew
	$(BIN)/python docs/generate.py

# A peer that pins other versions has an environment of its own; --no-deps: see the file.
$(VENV)-bench/ready: requirements/bench.txt
	test -x $(VENV)-bench/bin/python || $(PYTHON) -m venv $(VENV)-bench
	$(VENV)-bench/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements/bench.txt
	touch $@

bench: $(VENV)/dev $(VENV)-bench/ready  ## ours and each peer in the same run
	$(BIN)/python -m bench

lock:  ## resolve the exact versions anew
	$(PYTHON) -m venv $(VENV)-lock && $(VENV)-lock/bin/python -m pip install --quiet uv
	cd requirements && for set in base:"--extra build" dev:"--extra build --extra pdf --extra batch --extra registry --extra dev"; do \
	  ../$(VENV)-lock/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	    --no-emit-index-url --no-emit-find-links --no-header ../pyproject.toml $${set#*:} -o $${set%%:*}.lock; done
	rm -rf $(VENV)-lock

clean:
	rm -rf $(VENV) $(VENV)-bench bench/node/node_modules tests/exchange/node/node_modules \
	  build dist .pytest_cache .mypy_cache .ruff_cache
