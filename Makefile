# Two commands do everything on a fresh machine with Python 3.11 or newer:
#   make demo   a picture, demo.png, from a sample photo and a sample style
#   make test   lint, format, types and tests
# Both make the virtual environment they need and are quick the second time. `make docs` builds the site in site/.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo test test-slow test-ray test-s3 docs docs-check benchmark wheel clean

demo: $(VENV)/.installed
	$(BIN)/impasto demo

test: $(VENV)/.installed-dev
	BIN=$(BIN) scripts/check

# What takes long and seldom has news: notebooks, plates as they are drawn, all flats and presets.
test-slow: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -m slow

test-ray: $(VENV)/.installed-dev
	$(BIN)/pip install --quiet --disable-pip-version-check -e ".[ray]"
	$(BIN)/python -m pytest -q tests/test_batch.py tests/test_stores.py tests/test_scenes.py -k ray

# Batches over S3's own protocol, against a server of this machine.
test-s3: $(VENV)/.installed-dev
	$(BIN)/pip install --quiet --disable-pip-version-check -e ".[buckets]" "moto[server]>=5"
	$(BIN)/python -m pytest tests/test_s3.py -m "slow or not slow"

docs: $(VENV)/.installed-dev
	IMPASTO_RUN_NOTEBOOKS=true $(BIN)/mkdocs build --strict --quiet

# Every command and snippet of README and docs, once; minutes, and no part of `make test`.
docs-check: $(VENV)/.installed-dev
	$(BIN)/python tools/docs_check.py

benchmark: $(VENV)/.installed-dev
	$(BIN)/python benchmarks/speed.py

studio-load: $(VENV)/.installed-dev
	for what in answers hostile visitors; do $(BIN)/python tools/studio_load.py $$what || exit 1; done

wheel: $(VENV)/.installed-dev
	$(BIN)/python -m build --wheel

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml | $(VENV)/bin/python
	$(BIN)/pip install --quiet --disable-pip-version-check -e .
	touch $@

$(VENV)/.installed-dev: pyproject.toml | $(VENV)/bin/python
	$(BIN)/pip install --quiet --disable-pip-version-check -e ".[dev]"
	touch $@ $(VENV)/.installed

clean:
	rm -rf $(VENV) build dist site .mypy_cache .pytest_cache .ruff_cache
