# `make demo` and `make test` work on a machine with only Python 3.11 or newer and make.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: help demo test test-slow soak bench-quality lint docs clean

help:
	@echo "make demo       set up and do the whole job on drawn scenes (under 5 minutes of work on 2 cores)"
	@echo "make test       set up and run every check and test that takes less than a few minutes"
	@echo "make test-slow  the tests that take longer"
	@echo "make soak       200 kills and 100,000 hostile inputs; hours (docs/reliability.md)"
	@echo "make bench-quality  every method on five sets of images, three seeds; days. BENCH=\"--sets allsky\" for less"
	@echo "make lint       style, types and floors only"
	@echo "make docs       write the generated pages: commands, settings, the tree in docs/house.md"
	@echo "make clean      remove the virtual environment and the demo"

demo: $(VENV)/.installed
	$(BIN)/fs4 demo fs4-demo

# two tests at a time, one thread each: threads of two processes that wait for each other are several times as slow
test: export OMP_NUM_THREADS = 1
test: export OPENBLAS_NUM_THREADS = 1
test: lint
	$(BIN)/pytest -q -n 2 --dist worksteal

test-slow: $(VENV)/.installed-dev
	$(BIN)/pytest -q -m slow

soak: $(VENV)/.installed-dev
	$(BIN)/python benchmarks/soak.py --kills 200 --inputs 6700

bench-quality: $(VENV)/.installed-dev
	$(BIN)/python benchmarks/quality.py $(BENCH)

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/basedpyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports

docs: $(VENV)/.installed-dev
	$(BIN)/python -m fs4cli.cli.docs
	$(BIN)/python tests/test_house.py

clean:
	rm -rf $(VENV) fs4-demo

$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "fs4 needs Python 3.11 or newer; $(PYTHON) is older or missing. Try: make PYTHON=python3.12 ..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.installed: $(VENV)/.made pyproject.toml constraints.txt
	@echo "installing fs4 into $(VENV); PyTorch is large, so the first time takes some minutes"
	$(BIN)/pip install --quiet -c constraints.txt -e .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.made pyproject.toml constraints.txt
	@echo "installing fs4 and its tools into $(VENV); PyTorch is large, so the first time takes some minutes"
	$(BIN)/pip install --quiet -c constraints.txt -e '.[dev]'
	@touch $(VENV)/.installed $@
