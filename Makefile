# b2bua: the exchange of a telephone answering service. `make help` lists what there is.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

# Real peers for the tests; a test whose peer is missing is skipped and says so.
APT_PACKAGES := sip-tester baresip-core kamailio postgresql rtpengine-daemon

.DEFAULT_GOAL := help
.PHONY: help demo test run sounds bench lint docs format clean peers

help: ## this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /\1|/' | column -t -s '|'

$(INSTALLED): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "b2bua needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version). Set PYTHON=..."; exit 1; }
	@echo "Installing into $(VENV) ..."
	@$(PYTHON) -m venv $(VENV) || { echo "The venv module is missing: apt install python3-venv"; exit 1; }
	@$(BIN)/pip install --quiet --disable-pip-version-check --requirement requirements.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

demo: $(INSTALLED) ## real calls, answered, relayed and billed before your eyes
	@$(BIN)/python examples/demo.py

run: $(INSTALLED) ## the server with the files of examples/; data in var/
	@mkdir -p var
	@test -d var/sounds || $(MAKE) --no-print-directory sounds
	@test -f var/b2bua.toml || sed -E 's|sqlite:///b2bua.db|sqlite:///var/b2bua.db|; s|"(sounds\|voicemail)"|"var/\1"|' \
		examples/b2bua.toml > var/b2bua.toml
	@test -f var/b2bua.db || $(BIN)/b2bua import examples/contracts.toml --config var/b2bua.toml
	@$(BIN)/b2bua run --config var/b2bua.toml

sounds: $(INSTALLED) ## announcements (espeak-ng, else chimes) and hold music, into var/sounds
	@$(BIN)/python examples/make_sounds.py var/sounds --say "de/whisper/herbst=Autohaus Herbst"

peers:
	@tests/install-peers.sh $(APT_PACKAGES)

lint: $(INSTALLED) ## ruff, mypy --strict and the rules of the imports
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check --quiet . || { echo "Not formatted: run 'make format'"; exit 1; }
	@$(BIN)/mypy
	@$(BIN)/lint-imports --verbose >/dev/null || $(BIN)/lint-imports

test: $(INSTALLED) peers lint ## everything: lint, types, unit, simulation, SIPp, interop
	@$(BIN)/pytest

bench: $(INSTALLED) ## ours beside peers in one run; see docs/performance.md
	@$(BIN)/python -m benchmarks

docs: $(INSTALLED) ## draw docs/states.md from the tables in the code
	@$(BIN)/python docs/states.py

format: $(INSTALLED) ## put the code into shape
	@$(BIN)/ruff check --fix --quiet .
	@$(BIN)/ruff format --quiet .

clean: ## remove what the other targets made
	@rm -rf $(VENV) var .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
