# Everything installs into .venv; only python3 and make are needed beforehand.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: demo test lint types build clean

demo: .venv/base.stamp  ## score, train and rank NAS-Bench-101 cells on embedded data
	$(BIN)/nasproxy demo --out demo

test: .venv/test.stamp  ## run every test
	$(BIN)/python -m pytest $(PYTEST_ARGS)

lint: .venv/lint.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/lint.stamp .venv/test.stamp
	$(BIN)/pyright

build: .venv/lint.stamp
	$(BIN)/python -m build --outdir dist

clean:
	rm -rf .venv dist demo

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/base.stamp: .venv/bin/python pyproject.toml
	$(PIP) --editable .
	touch $@

# neural-tangents asks for TensorFlow, which nothing here needs.
.venv/test.stamp: .venv/bin/python pyproject.toml
	$(PIP) --editable '.[test,parity]'
	$(PIP) --no-deps 'neural-tangents==0.6.5'
	touch $@ .venv/base.stamp

.venv/lint.stamp: .venv/bin/python pyproject.toml
	$(PIP) --editable '.[lint]'
	touch $@ .venv/base.stamp
