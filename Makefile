# Each target works on a machine with Python 3.11 or newer, make and a package index.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# The emulator, the SAM CLI, the AWS CLI and microburst each bring another botocore: a virtual environment each.
DEV := .venv/dev
EMULATOR := .venv/emulator
SAM := .venv/sam
CLI := .venv/cli
SOAK := .venv/soak
UV := .venv/uv

# What is given reaches the shell in the environment, as it was typed: neither make nor the shell reads anything into it.
GIVEN := API BASE_URL BUCKET CASE FILE MINUTES PLAY PYTHON REPORT SECRET_ARN SEED
$(foreach name,$(GIVEN),$(if $(value $(name)),$(eval override export $(name) := $$(value $(name)))))

# ---- What a person calls -------------------------------------------------------------------------------------------
.PHONY: help build lint test requirements clean

help: ## Show the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-14s%s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: .aws-sam/build/template.yaml ## Build what is deployed: .aws-sam/build/template.yaml

.PHONY: demo
demo: $(DEV)/.ready $(EMULATOR)/.ready build ## Tell the story on this machine: seven requests, seven ends; REPORT=report.html
	@PYTHONPATH=layers/retirement/python $(DEV)/bin/python -m local.demo $${REPORT:+--report "$$REPORT"}

.PHONY: local
local: $(DEV)/.ready $(EMULATOR)/.ready $(CLI)/.ready build ## Run the stack on this machine for your own events, until Ctrl-C
	$(DEV)/bin/python -m local

.PHONY: redrive
redrive: $(DEV)/.ready ## Send again what was given up on the stack that `make local` runs
	$(DEV)/bin/python -m local.redrive

.PHONY: bench
bench: $(DEV)/.ready .venv/bench/.ready build ## Print what one retirement takes: requests, memory, cold set-up
	PYTHONPATH=layers/retirement/python $(DEV)/bin/python -m tests.bench

.PHONY: faults
faults: $(DEV)/.ready ## Play the fault matrix, then at random, and print what held; CASE="...", or SEED=, MINUTES=, PLAY= of the search
	PYTHONPATH=layers/retirement/python $(DEV)/bin/python -m tests.faults $${CASE:+"$$CASE"} \
		$${SEED:+--seed "$$SEED"} $${MINUTES:+--minutes "$$MINUTES"} $${PLAY:+--play "$$PLAY"}

.PHONY: soak
soak: $(DEV)/.ready $(EMULATOR)/.ready $(SOAK)/.ready build ## Let all that can fail fail for MINUTES=5, and account for every request; SEED=...
	PYTHONPATH=layers/retirement/python $(DEV)/bin/python -m tests.soak \
		$${MINUTES:+--minutes "$$MINUTES"} $${SEED:+--seed "$$SEED"}

.venv/bench/.ready: requirements/bench.txt

.PHONY: embed-map
embed-map: $(DEV)/.ready ## List every embed in FILE, to be filled in: SECRET_ARN=... (docs/deploy.md)
	PYTHONPATH=layers/retirement/python $(DEV)/bin/python tools/embed_map.py "$${FILE:-embed-map.json}" \
		--base-url "$${BASE_URL:-https://api.usedatabrain.com}" \
		--secret-arn "$${SECRET_ARN:?is missing: the ARN of the secret with the service token}" $${API:+--api "$$API"}

.PHONY: report
report: $(DEV)/.ready ## Write FILE=report.html about an evidence bucket: BUCKET=..., or that of the stack that `make local` runs
	PYTHONPATH=layers/retirement/python $(DEV)/bin/python -m tools.report "$${FILE:-report.html}" $${BUCKET:+--bucket "$$BUCKET"}

lint: $(DEV)/.ready ## Check style, types, the package's inner borders, the template and the pinned packages
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
	$(DEV)/bin/python -m pytest --numprocesses 4 --dist loadgroup --cov

requirements: $(UV)/.ready ## Pin the newest releases of what requirements/*.in asks for
	cd requirements && for list in runtime dev bench emulator sam cli soak uv; do \
		../$(UV)/bin/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
			--no-header --no-emit-index-url --no-emit-find-links --output-file $$list.txt $$list.in || exit 1; \
	done

clean: ## Remove all that these targets leave, virtual environments too
	rm -rf .venv .aws-sam .local .coverage .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -prune -exec rm -r {} +

# ---- What they need ------------------------------------------------------------------------------------------------
TYPED := layers/retirement/python functions layers/build.py layers/dependencies local tests tools

LIST_SOURCES := find functions layers events/schemas -name __pycache__ -prune -o ! -type d -print
SOURCES := template.yaml requirements/runtime.txt $(shell $(LIST_SOURCES))
BUILT_FROM := $(shell cat .aws-sam/built-from 2>/dev/null)

# MAKEFLAGS is for this make, not for those that SAM starts.
.aws-sam/build/template.yaml: $(SAM)/.ready $(SOURCES) $(BUILT_FROM)
	MAKEFLAGS= PYTHON="$$PWD/$(SAM)/bin/python" SAM_CLI_TELEMETRY=0 $(SAM)/bin/sam build
	@$(LIST_SOURCES) >.aws-sam/built-from

# A file that is gone since counts as new.
$(BUILT_FROM):

$(DEV)/.ready: requirements/dev.txt
$(EMULATOR)/.ready: requirements/emulator.txt
$(SAM)/.ready: requirements/sam.txt
$(CLI)/.ready: requirements/cli.txt
$(SOAK)/.ready: requirements/soak.txt
$(UV)/.ready: requirements/uv.txt

# Commands of a virtual environment begin with its path, in a line that a shell reads.
define CHECK_MACHINE
import os, sys
if sys.version_info < (3, 11):
    sys.exit("Python 3.11 or newer is needed, this is " + sys.version)
if set(os.getcwd()) & set("\"$$`\\\n:"):
    sys.exit("Nothing can be installed in a folder with one of \" $$ ` \\ : or a new line in its path: move the checkout")
endef
export CHECK_MACHINE

.venv/%/.ready:
	@"$${PYTHON:-$$(python3 layers/build.py python)}" -c "$$CHECK_MACHINE"
	@echo "Installing .venv/$*, the first time only ($$(grep -c '==' requirements/$*.txt) packages) ..."
	@"$${PYTHON:-$$(python3 layers/build.py python)}" -m venv --clear .venv/$*
	@.venv/$*/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes --only-binary :all: -r requirements/$*.txt
	@touch $@
