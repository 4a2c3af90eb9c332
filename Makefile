# pxeapp: `make` prints this list; `make demo` shows the whole job on virtual machines; `make run` serves your own rack.
VENV ?= $(CURDIR)/.venv
BIN := $(VENV)/bin
# Three at a time, each file by one of them (tests/sharing.py): many tests wait for firmware, deadlines or a disk.
# PYTEST_ARGS= runs one by one.
PYTEST_ARGS ?= -n 3 --dist loadfile
export VENV
# Where it is set, as in many images, every process compiles all of our modules again: a quarter of each start.
export PYTHONDONTWRITEBYTECODE =

.DEFAULT_GOAL := help
.PHONY: help demo run test check bench soak golden lock image screenshots clean setup-run setup-demo setup-test web

help: ## print the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: setup-demo web ## build a virtual rack and provision it end to end (QUICK=1: three minutes; KEEP=1: leave it running)
	@$(BIN)/python -m pxeapp.lab.demo $(if $(QUICK),--quick) $(if $(KEEP),--keep)

run: setup-run web ## serve the appliance for your own rack, on SQLite in ./var
	@PXEAPP_DATA_DIR="$${PXEAPP_DATA_DIR:-$(CURDIR)/var}" $(BIN)/pxeapp serve

test: setup-test web check ## run every test, those with real programs included
	@rm -f .pytest_cache/v/cache/lastfailed
	@$(BIN)/python -m pytest --durations=40 --durations-min=1 $(PYTEST_ARGS) || { [ $$? = 1 ] && $(BIN)/python -m tests.again; }

check: setup-test ## lint, types and import contracts (what pre-commit runs)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: setup-bench web ## measure the product beside its peers; ARGS="tftp --rounds 3" for a part of it
	@$(BIN)/python -m tests.bench $(ARGS)

soak: setup-test web ## the long forms of the reliability tests (hours); ARGS="-k tftp" for a part of them
	@PXEAPP_SOAK=1 $(BIN)/python -m pytest -m soak --timeout 14400 $(ARGS)

golden: ## write the golden boot and answer files anew; read the diff before you commit it
	PXEAPP_GOLDEN=1 $(BIN)/python -m pytest -q tests/boot tests/answers tests/software tests/lab tests/provisioning/test_diagram.py tests/docs/test_variables.py tests/docs/test_rollouts_page.py tests/api/test_every_operation.py -m "not qemu and not ipmi_sim"

lock: ## pin the dependencies anew in requirements.lock
	@packaging/lock.sh

image: setup-test web ## build the container image, start it once and ask for its health
	@packaging/image.sh

web: ## fetch the pinned page assets into web/vendor
	@web/build.sh

screenshots: setup-test web ## take the README's pictures from a running appliance (URL=http://... PASSWORD_FILE=...; ALL=FOLDER: of every page)
	@$(BIN)/python -m docs.screenshots --url "$(URL)" --user "$(or $(ADMIN),admin)" --password-file "$(PASSWORD_FILE)" $(if $(MACHINE),--machine $(MACHINE)) $(if $(ALL),--all "$(ALL)")

clean: ## remove what was built and installed in this directory, except ./var
	rm -rf $(VENV) dist build web/vendor .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

setup-run setup-demo setup-test setup-bench: setup-%:
	@packaging/setup.sh $*
