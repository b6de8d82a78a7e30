# Two commands set up a fresh machine: `make demo` and `make test`.
# Both install into .venv with the versions of constraints.txt, which are tested together.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO := demo
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: demo test check clean

demo: $(VENV)/installed  ## train on sample_images/, predict bird.jpg, export a SavedModel
	@rm -rf $(DEMO)
	$(BIN)/cnntransfer finetune sample_images/ -o $(DEMO)/birds-flowers-fruit
	$(BIN)/cnntransfer predict -m $(DEMO)/birds-flowers-fruit sample_images/bird.jpg
	$(BIN)/cnntransfer export $(DEMO)/birds-flowers-fruit --format saved_model -o $(DEMO)/saved_model
	@echo
	@echo "Now with your own photos, one sub-folder per class:"
	@echo "  . $(BIN)/activate"
	@echo "  cnntransfer finetune path/to/photos/"

test: $(VENV)/installed-dev  ## the default tests: offline, some minutes; .ci/run has the slow ones, too
	$(BIN)/python -m pytest

check: $(VENV)/installed-dev  ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: $(VENV)/bin/python pyproject.toml constraints.txt
	$(INSTALL) -e .
	@touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(INSTALL) -e '.[dev]'
	@touch $@

clean:
	rm -rf $(VENV) $(DEMO) build dist
