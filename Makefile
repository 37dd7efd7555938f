# Everything a fresh machine needs: `make demo` and `make test` set themselves up.

PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin
STAMP := $(VENV)/.complete

.DEFAULT_GOAL := help
.PHONY: help setup demo lab-demo test test-xen check bench soak clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /make \1\t/' | expand -t 16

setup: packages $(STAMP) ## Debian packages, virtual environment, Python dependencies

.PHONY: packages
packages:
	@PYTHON=$(PYTHON) scripts/packages

$(STAMP): pyproject.toml scripts/venv
	@PYTHON=$(PYTHON) scripts/venv $(VENV)
	@touch $@

demo: setup ## boot a guest with its device model and channels, and show each step
	@$(RUN)/xenwire demo

lab-demo: setup ## a real Xen host inside QEMU, and a guest on it
	@scripts/lab-demo $(RUN)/xenwire

test: setup image ## unit tests, tests with a real QEMU, one of the lab for each subsystem
	$(RUN)/pytest -m "not soak and (not xen or smoke)"

test-xen: setup image ## the rest of the tests on a real Xen host inside QEMU
	$(RUN)/pytest -m "xen and not smoke and not soak"

check: setup ## style, types, floors
	$(RUN)/ruff check .
	$(RUN)/ruff format --check .
	$(RUN)/mypy
	$(RUN)/lint-imports

bench: setup image ## the figures of docs/benchmarks.md
	$(RUN)/python -m bench

soak: setup image ## long fuzzing and kill runs
	$(RUN)/pytest -m soak --timeout=3600

.PHONY: image
image: setup
	@$(RUN)/xenwire image build >/dev/null
	@$(RUN)/xenwire lab build >/dev/null

clean: ## what was built here; downloads stay in the user's cache folder
	rm -rf $(VENV) .pytest_cache .hypothesis .mypy_cache .ruff_cache .import_linter_cache dist
	find . -name __pycache__ -not -path './.git/*' -prune -exec rm -rf {} +
