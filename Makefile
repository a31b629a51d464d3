# Needs make and Python 3.11 or newer with venv. Everything else is set up inside .venv, once.

BIN := .venv/bin
READY_TO_RUN := .venv/.ready-to-run
READY_TO_DEVELOP := .venv/.ready-to-develop
PLAN := plans/korea-260k
OUT := runs/korea-260k
# Supply is always for the whole horizon. `make run ALL=1` has all of its jobs, not only those up to 2029.
JOBS := $(if $(ALL),,--set jobs_until=2029-01-01)
TESTS ?= -n auto

export PIP_DISABLE_PIP_VERSION_CHECK := 1
unexport VIRTUAL_ENV

.PHONY: help run test lint docs bench messages clean

help:
	@echo "make run     simulate $(PLAN), print the answer, write a report to $(OUT);"
	@echo "             jobs up to 2029, or with ALL=1 all of them"
	@echo "make test    run the tests"
	@echo "make lint    check style, types and the direction of imports"
	@echo "make docs    build the documentation into site/"
	@echo "make bench   run the benchmarks"
	@echo "make messages   bring the translations up to date with the source"
	@echo "make clean   remove .venv, site and caches; runs/ stays"

run: $(READY_TO_RUN)
	@$(BIN)/gpufleet run $(PLAN) --out $(OUT) $(JOBS)

test: $(READY_TO_DEVELOP)
	$(BIN)/python -m pytest $(TESTS)

lint: $(READY_TO_DEVELOP)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy --strict
	$(BIN)/lint-imports

docs: $(READY_TO_DEVELOP)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

bench: $(READY_TO_DEVELOP)
	$(BIN)/python -m benchmarks

messages: $(READY_TO_DEVELOP)
	$(BIN)/python -m tools.messages

clean:
	rm -rf .venv site .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis

# uv is quicker. Where pip cannot get it, or it reaches no index (it does not read pip's settings), pip does it.
define install
	@$(BIN)/uv pip install --quiet --python $(BIN)/python $(1) 2>/dev/null \
	  || { $(BIN)/python -m pip install --quiet --upgrade "pip>=25.1" \
	       && $(BIN)/python -m pip install --quiet $(1); }
endef

$(BIN)/python:
	@for python in $$PYTHON python3 python3.14 python3.13 python3.12 python3.11; do \
	  "$$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue; \
	  echo "setting up .venv with $$("$$python" --version)"; \
	  "$$python" -m venv .venv || exit 1; \
	  $(BIN)/python -m pip install --quiet uv 2>/dev/null; \
	  exit 0; \
	done; \
	echo "gpufleet needs Python 3.11 or newer with venv (on Debian: apt-get install python3-venv)" >&2; exit 1

$(READY_TO_RUN): pyproject.toml | $(BIN)/python
	@echo "installing gpufleet into .venv"
	$(call install,--editable .)
	@touch $@

$(READY_TO_DEVELOP): pyproject.toml | $(BIN)/python
	@echo "installing gpufleet and its development tools into .venv"
	$(call install,--editable . --group dev --group docs)
	@touch $@ $(READY_TO_RUN)
