# Each target needs only Python 3.11 or newer, make and a package index.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# The emulator, the SAM CLI, the AWS CLI and microburst need different releases of botocore, so each has its own virtual environment.
DEV := .venv/dev
EMULATOR := .venv/emulator
SAM := .venv/sam
CLI := .venv/cli
SOAK := .venv/soak
UV := .venv/uv

# Variables that a person sets reach the shell unchanged, through the environment: neither make nor the shell expands them.
GIVEN := CASE MINUTES PLAY PYTHON REPORT SEED
$(foreach name,$(GIVEN),$(if $(value $(name)),$(eval override export $(name) := $$(value $(name)))))

# ---- Targets for people --------------------------------------------------------------------------------------------
.PHONY: help build lint test requirements clean

help: ## Show the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-14s%s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: .aws-sam/build/template.yaml ## Build the artifacts that are deployed, in .aws-sam/build

.PHONY: demo
demo: $(DEV)/.ready $(EMULATOR)/.ready build ## Show the main use case on this machine, from a dry run to a restore; REPORT=report.html
	@PYTHONPATH=layers/retirement/python $(DEV)/bin/python -m local.demo $${REPORT:+--report "$$REPORT"}

.PHONY: local
local: $(DEV)/.ready $(EMULATOR)/.ready $(CLI)/.ready build ## Run the stack on this machine until Ctrl-C, for your own events
	PYTHONPATH=layers/retirement/python $(DEV)/bin/python -m local

.PHONY: bench
bench: $(DEV)/.ready .venv/bench/.ready build ## Measure one retirement: requests, memory, cold set-up, a whole cold retirement
	PYTHONPATH=layers/retirement/python $(DEV)/bin/python -m tests.bench

.PHONY: faults
faults: $(DEV)/.ready ## Run the fault matrix, then random plays, and report what held; CASE="..." for one case, SEED=, MINUTES=, PLAY= for the search
	PYTHONPATH=layers/retirement/python $(DEV)/bin/python -m tests.faults $${CASE:+"$$CASE"} \
		$${SEED:+--seed "$$SEED"} $${MINUTES:+--minutes "$$MINUTES"} $${PLAY:+--play "$$PLAY"}

.PHONY: soak
soak: $(DEV)/.ready $(EMULATOR)/.ready $(SOAK)/.ready build ## Run mixed traffic with injected faults for MINUTES=5, and account for every request; SEED=...
	PYTHONPATH=layers/retirement/python $(DEV)/bin/python -m tests.soak \
		$${MINUTES:+--minutes "$$MINUTES"} $${SEED:+--seed "$$SEED"}

.venv/bench/.ready: requirements/bench.txt

lint: $(DEV)/.ready ## Check style, types, import contracts, the template and the pinned packages
	$(DEV)/bin/ruff check .
	$(DEV)/bin/ruff format --check .
	$(DEV)/bin/mypy $(TYPED)
	PYTHONPATH=layers/retirement/python $(DEV)/bin/lint-imports --no-logo
	$(DEV)/bin/cfn-lint
	$(DEV)/bin/python tools/audit.py requirements/*.txt

.PHONY: unit
unit: $(DEV)/.ready ## Run the unit tests alone, in half a minute
	$(DEV)/bin/python -m pytest --numprocesses auto tests/unit

test: $(DEV)/.ready $(EMULATOR)/.ready $(CLI)/.ready $(SOAK)/.ready build ## Run all tests
	PYTHONDONTWRITEBYTECODE= $(DEV)/bin/python -m pytest --numprocesses 4 --dist loadgroup --cov

requirements: $(UV)/.ready ## Pin the newest releases of the packages in requirements/*.in
	cd requirements && for list in runtime dev bench emulator sam cli soak uv; do \
		../$(UV)/bin/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
			--no-header --no-emit-index-url --no-emit-find-links --output-file $$list.txt $$list.in || exit 1; \
	done

clean: ## Remove everything that these targets create, including the virtual environments
	rm -rf .venv .aws-sam .local .coverage .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -prune -exec rm -r {} +

# ---- What these targets need ---------------------------------------------------------------------------------------
TYPED := cli layers/retirement/python functions layers/build.py layers/dependencies local tests tools

LIST_SOURCES := find functions layers events/schemas -name __pycache__ -prune -o ! -type d -print
SOURCES := template.yaml requirements/runtime.txt $(shell $(LIST_SOURCES))
BUILT_FROM := $(shell cat .aws-sam/built-from 2>/dev/null)

# MAKEFLAGS applies to this make, not to the ones that SAM starts.
.aws-sam/build/template.yaml: $(SAM)/.ready $(SOURCES) $(BUILT_FROM)
	MAKEFLAGS= PYTHON="$$PWD/$(SAM)/bin/python" SAM_CLI_TELEMETRY=0 $(SAM)/bin/sam build
	@$(LIST_SOURCES) >.aws-sam/built-from

# A source that has been deleted since the last build makes the build stale.
$(BUILT_FROM):

$(DEV)/.ready: requirements/dev.txt
$(EMULATOR)/.ready: requirements/emulator.txt
$(SAM)/.ready: requirements/sam.txt
$(CLI)/.ready: requirements/cli.txt
$(SOAK)/.ready: requirements/soak.txt
$(UV)/.ready: requirements/uv.txt

# A virtual environment's commands contain its path in their first line, which a shell interprets.
define CHECK_MACHINE
import os, sys
if sys.version_info < (3, 11):
    sys.exit("Python 3.11 or newer is required; this is " + sys.version)
if set(os.getcwd()) & set("\"$$`\\\n:"):
    sys.exit("Virtual environments do not work in a folder whose path contains \" $$ ` \\ : or a new line: move the checkout")
endef
export CHECK_MACHINE

.venv/%/.ready:
	@"$${PYTHON:-$$(python3 layers/build.py python)}" -c "$$CHECK_MACHINE"
	@echo "Installing $$(grep -c '==' requirements/$*.txt) packages in .venv/$* ..."
	@"$${PYTHON:-$$(python3 layers/build.py python)}" -m venv --clear .venv/$*
	@.venv/$*/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes --only-binary :all: -r requirements/$*.txt
	@touch $@
