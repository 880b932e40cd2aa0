# Everything installs into .venv; only python3 and make are needed beforehand.
PYTHON ?= python3
BIN := .venv/bin
WORKERS ?= 2
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: help demo test lint types docs check build clean

help:  ## say what there is
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

demo: .venv/base.stamp  ## score, train and rank NAS-Bench-101 cells on embedded data
	$(BIN)/nasproxy demo --out demo

test: .venv/test.stamp  ## run every test
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile $(PYTEST_ARGS)

lint: .venv/lint.stamp  ## style, formatting and the contract of imports
	SKIP=pyright $(BIN)/pre-commit run --all-files

types: .venv/lint.stamp .venv/test.stamp  ## types
	$(BIN)/pre-commit run --all-files pyright

check: lint types test  ## all that a change has to pass

docs: .venv/docs.stamp  ## these pages and the tour, which runs, in docs/_build/html
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html

build: .venv/lint.stamp  ## the wheel and the source distribution, in dist/
	rm -rf dist
	$(BIN)/python -m build --outdir dist

clean:  ## remove what was made here
	rm -rf .venv dist demo docs/_build docs/_generated

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/base.stamp: .venv/bin/python pyproject.toml
	$(PIP) --editable '.[fast]'
	touch $@

# neural-tangents asks for TensorFlow, which nothing here needs.
.venv/test.stamp: .venv/bin/python pyproject.toml
	$(PIP) --editable '.[test,parity]'
	$(PIP) --no-deps 'neural-tangents==0.6.5'
	touch $@ .venv/base.stamp

.venv/lint.stamp: .venv/bin/python pyproject.toml
	$(PIP) --editable '.[lint]'
	touch $@ .venv/base.stamp

.venv/docs.stamp: .venv/bin/python pyproject.toml
	$(PIP) --editable '.[docs]'
	touch $@ .venv/base.stamp
