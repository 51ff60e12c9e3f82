# Every target makes the environment .venv first, from a bare Python >= 3.11.
# The one used can be chosen: make PYTHON=/path/to/python3.12 test

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

BIN := .venv/bin
STAMP := .venv/.made
DEMO := demo/paracetamol
STUDENTS := build/students

# One thread a process: the work is spread over processes, and pools of threads only get in their way.
# What hangs is ended by tests/limits.py, which also says which files come first.
TEST := OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export NO_MKDOCS_2_WARNING := 1

.PHONY: help
help: ## this list
	@echo "make demo    distils paracetamol and runs it in OpenMM: geometries, labels, student, MD"
	@echo "make test    style, types and all tests"
	@echo
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  \1|\2/' | column -t -s '|'

.PHONY: demo
demo: $(STAMP) ## SMILES -> MD of paracetamol, into demo/paracetamol (about ten minutes)
	$(BIN)/distill run "CC(=O)Nc1ccc(O)cc1" -o $(DEMO)
	@echo
	@echo "The files are in $(DEMO):"
	@ls -1 $(DEMO) | sed 's/^/  /'

.PHONY: lammps
lammps: $(STAMP) ## a LAMMPS that takes students, in the user's cache (minutes, once)
	$(BIN)/python -m distill_lammps build

.PHONY: test
test: lint lammps ## style, types and all tests, slow ones too
	$(TEST) --durations=15

.PHONY: test-fast
test-fast: $(STAMP) ## the fast tests, for before a commit
	$(TEST) -q -m "not slow"

.PHONY: lint
lint: $(STAMP) ## ruff and mypy
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

.PHONY: bench
bench: $(STAMP) ## speed of MD, training and labelling on this machine
	mkdir -p build
	$(BIN)/distill bench -o build/bench.json --threads 1,2 --force
	$(BIN)/python benchmarks/speed.py -o build/speed.json

.PHONY: hard-use
hard-use: $(STAMP) ## kills, full disks, damaged files, long MD: docs/hard_use.md (hours; a stopped run goes on)
	$(BIN)/python benchmarks/hard_use.py -o docs/hard_use.md

.PHONY: docs
docs: $(STAMP) ## the documentation as pages, into site/
	$(BIN)/mkdocs build --strict
	@echo "Open site/index.html in a browser."

.PHONY: students
students: $(STAMP) ## makes the shipped students again, from nothing (hours; a stopped run goes on)
	$(BIN)/python -m distill.pretrained.make -o $(STUDENTS)
	cp $(STUDENTS)/*.safetensors distill/pretrained/

.PHONY: hooks
hooks: $(STAMP) ## runs ruff, mypy and the fast tests at each git commit
	$(BIN)/pre-commit install

.PHONY: env
env: $(STAMP) ## only the environment .venv

.PHONY: clean
clean: ## removes what make made, .venv and demo/ too
	rm -rf .venv demo build dist site *.egg-info .pytest_cache .mypy_cache .ruff_cache
	rm -f distill/kernels/libdistill.*
	find distill plugins tests examples benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamp is written last, so that an interrupted installation is taken up again.
# Python 3.11 and 3.12 come first: orb-models does not install on 3.13.
# Installing compiles the kernel, too, and does so again when its sources have changed.
$(STAMP): pyproject.toml constraints.txt setup.py $(wildcard distill/kernels/csrc/*)
	@if [ ! -x $(BIN)/pip ]; then \
	  python=; \
	  for allowed in '(3, 11) <= v < (3, 13)' '(3, 13) <= v'; do \
	    for candidate in $(or $(PYTHON),python3 python3.12 python3.11 python3.13); do \
	      if [ -z "$$python" ] && \
	        "$$candidate" -c "import sys; v = sys.version_info; sys.exit(not ($$allowed))" 2>/dev/null; then \
	        python="$$candidate"; \
	      fi; \
	    done; \
	  done; \
	  if [ -z "$$python" ]; then \
	    echo "No Python 3.11 or later is on the PATH: install one, or name it: make PYTHON=/path/to/python3 ..." >&2; \
	    exit 1; \
	  fi; \
	  echo "Making .venv with $$("$$python" --version)"; \
	  "$$python" -m venv .venv || { \
	    rm -rf .venv; \
	    echo "$$python cannot make a virtual environment: install its venv module (on Debian: python3-venv)." >&2; \
	    exit 1; \
	  }; \
	fi
	@rm -rf *.egg-info  # an old one would hide new entry points from programs that start here
	$(BIN)/python -m pip install --no-input --progress-bar off -c constraints.txt -e '.[all]'
	@# its data alone, for tests: prmtops of proteins and hosts with their guests
	$(BIN)/python -m pip install --no-input --progress-bar off -c constraints.txt --no-deps openmmtools
	@touch $@
