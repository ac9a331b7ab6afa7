# Byte code for what a build leaves in ARTIFACTS_DIR: without it a cold start compiles everything, and takes twice as long.
# It fits one Python version, so the runtime's own compiles it where it is installed.
RUNTIME := python3.13
PYTHON ?= python3
COMPILER := $(shell $(RUNTIME) -c 'print("$(RUNTIME)")' 2>/dev/null || echo $(PYTHON))

# $(call compile,WHERE LAMBDA UNPACKS IT): unchecked-hash, since a zip file's times are not the sources'
define compile
@$(COMPILER) -c 'import platform; print("Byte code is compiled with Python", platform.python_version())'
$(if $(filter $(RUNTIME),$(COMPILER)),,@echo "$(RUNTIME) is not installed: on AWS this byte code is not used, and cold starts take longer")
find $(ARTIFACTS_DIR) -name __pycache__ -prune -exec rm -r {} +
$(COMPILER) -m compileall -q --invalidation-mode unchecked-hash -s $(ARTIFACTS_DIR) -p $(1) $(ARTIFACTS_DIR)
endef
