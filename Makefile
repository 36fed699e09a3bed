# Every command a person needs. Plain "make" lists them.
# Nothing needs root, and nothing is written outside this folder but the caches of pip and npm
# (and TMPDIR, when root works in a folder that others cannot reach; tests run their servers in
# /dev/shm where 4 GB are free there, and remove them).

PYTHON ?= python3
PG_CONFIG ?= pg_config
WHERE ?=
ARGS ?=
JOBS ?= 2

VENV = .venv
BIN = $(VENV)/bin
READY = $(VENV)/.ready
PGTAP = .cache/pgtap/pgtap.control
AXE = .cache/axe/axe.min.js
SYSTEM_POSTGRES = $(wildcard /usr/lib/postgresql/15/bin/initdb)

# What is checked, as far as it exists.
PYTHON_CODE = $(wildcard python-client/src python-client/hatch_build.py tests-py tests-sql/run.py tools benchmarks examples)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

.PHONY: help
help:  ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# Made anew when something else is to be installed.
$(READY): python-client/pyproject.toml tools/pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' \
	  || { echo "Python 3.10 or newer is needed; $(PYTHON) is $$($(PYTHON) --version 2>&1). Name another: make PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -qq --disable-pip-version-check --editable 'python-client[dev,demo]' --editable tools
	@touch $@

.PHONY: venv
venv: $(READY)  ## make .venv with the client, its tools, its demo and an embedded PostgreSQL

.PHONY: build
build:  ## assemble the extension's script from its parts
	@$(MAKE) -s -C extension

.PHONY: demo
demo: venv build  ## see it work: a workflow from start to end, on an embedded PostgreSQL
	@$(BIN)/quantumflow demo

.PHONY: bench
bench: venv build  ## measure the engine beside its peers; ARGS="--only W1,W6", ARGS=--full
	@$(BIN)/python -m benchmarks run $(ARGS)

.PHONY: pairs
pairs: venv build  ## measure the engine beside 0.3.0, by turns; ARGS="--against FILE.sql --only 'map; chain'"
	@$(BIN)/python -m benchmarks pairs $(ARGS)

.PHONY: bench-page
bench-page: venv build  ## write docs/benchmarks.md from benchmarks/recorded.json
	@$(BIN)/python -m benchmarks page

.PHONY: psql
psql: venv build  ## psql in the database of the embedded PostgreSQL in .quantumflow
	@$(BIN)/python tools/dev_psql.py

.PHONY: test
test: lint  ## lint, types, SQL and Python tests, on every PostgreSQL there is; what is long is in test-long
	@$(MAKE) test-sql
	@$(MAKE) test-py
ifneq (,$(SYSTEM_POSTGRES))
	@QUANTUMFLOW_TEST_SERVER=system $(MAKE) test-sql
	@QUANTUMFLOW_TEST_SERVER=system $(MAKE) test-py MARKED='system and not long' PYTEST_OPTIONS='$(PYTEST_OPTIONS) $(addprefix --ignore=tests-py/,access crash test_embedded_server.py)'
endif

.PHONY: test-long
test-long: venv build  ## before a release: long tests, chaos, the matrix, mutations; written into docs/testing.md
	@$(BIN)/python tools/long_tests.py $(ARGS)

.PHONY: test-sql
test-sql: venv build $(PGTAP)  ## the SQL tests; WHERE=task, or one file, for some of them
	@$(BIN)/python tests-sql/run.py $(WHERE)

# The files are shared among JOBS processes, each with a server of its own: tests-py/conftest.py.
MARKED = not long

.PHONY: test-py
test-py: venv build  ## the Python tests but the long ones; WHERE=tests-py/client for some of them, JOBS=2
	@$(BIN)/python -m pytest -q -n $(JOBS) --dist loadgroup --no-loadscope-reorder -m '$(MARKED)' $(PYTEST_OPTIONS) $(WHERE)

# PostgreSQL 18 is the embedded one.
MATRIX = $(addprefix .cache/postgres/,14 15 16 17)
# Each version that was released, but for the one at hand: the base, and what each hop leads to.
OLDER = $(filter-out $(shell sed -n "s/^default_version = '\(.*\)'.*/\1/p" extension/quantumflow.control), \
  $(foreach file,$(wildcard extension/releases/*.sql),$(lastword $(subst --, ,$(basename $(notdir $(file)))))))

.PHONY: test-matrix
test-matrix: venv build $(PGTAP) $(MATRIX)  ## the SQL tests on PostgreSQL 14 to 18, older pgmqs, after an upgrade, in partitions
	@failed=0; run() { env "$$@" $(BIN)/python tests-sql/run.py $(WHERE) || failed=1; }; \
	for folder in $(MATRIX); do run QUANTUMFLOW_TEST_BINDIR=$(CURDIR)/$$folder/bin; done; \
	run; \
	for pgmq in 1.11.1 1.5.1; do run QUANTUMFLOW_TEST_PGMQ=$$pgmq; done; \
	for version in $(OLDER); do run QUANTUMFLOW_TEST_FROM=$$version; done; \
	run QUANTUMFLOW_TEST_PARTITIONS=3; \
	exit $$failed

.PHONY: chaos
chaos: venv build  ## work on 100,000 tasks while everything breaks, for minutes; SEED=, TASKS=
	@cd tests-py && $(CURDIR)/$(BIN)/python -m chaos $(if $(SEED),--seed $(SEED)) $(if $(TASKS),--tasks $(TASKS))

.PHONY: mutate mutate-docs
mutate: venv build $(PGTAP)  ## break the SQL on purpose, piece by piece: do the tests notice? WHERE=claim for some of it
	@cd tests-py && $(CURDIR)/$(BIN)/python -m mutation.mutate $(WHERE)
mutate-docs: venv  ## write the list of what is broken into docs/guarantees.md
	@cd tests-py && $(CURDIR)/$(BIN)/python -m mutation.mutate --docs

.PHONY: calls
calls: venv  ## write the AsyncClient's calls from the Client's
	@$(BIN)/python tools/async_calls.py

.PHONY: lint
lint: venv build  ## style, types, versions, documents, the security of the SQL
	@$(BIN)/ruff check $(PYTHON_CODE)
	@$(BIN)/ruff format --check $(PYTHON_CODE)
	@$(BIN)/mypy $(PYTHON_CODE)
	@$(BIN)/python tools/async_calls.py --check
	@$(BIN)/python tools/check_versions.py
	@$(MAKE) -s -C extension check-release
	@$(BIN)/python tools/check_sql_security.py
	@$(BIN)/python tools/check_plpgsql.py
	@$(if $(wildcard Dockerfile.postgres),$(BIN)/hadolint Dockerfile.postgres)
	@$(if $(wildcard tools/docs.py),$(BIN)/python tools/docs.py --check)

.PHONY: check-plpgsql
check-plpgsql: venv build  ## look into the functions' bodies with plpgsql_check; fails where there is none
	@$(BIN)/python tools/check_plpgsql.py --require

.PHONY: coverage
coverage: venv build $(PGTAP)  ## what the SQL tests execute of the functions; needs plpgsql_check
	@$(BIN)/python tools/coverage_sql.py $(WHERE)

.PHONY: format
format: venv  ## format the Python code
	@$(BIN)/ruff check --fix-only --quiet $(PYTHON_CODE)
	@$(BIN)/ruff format $(PYTHON_CODE)

.PHONY: screenshots
screenshots: venv build  ## make the pictures of docs/web.md; needs chromium and chromium-driver
	@$(BIN)/python tools/screenshots.py

.PHONY: docs
docs: venv build  ## write the reference pages from the database's comments
	@$(BIN)/python tools/docs.py

.PHONY: install
install:  ## copy the extension into a PostgreSQL, and pgmq where it is missing; PG_CONFIG=/path/to/pg_config, DESTDIR=
	@$(MAKE) -C extension install PG_CONFIG=$(PG_CONFIG) PYTHON3=$(firstword $(abspath $(wildcard $(BIN)/python)) $(PYTHON))

.PHONY: release
release: build  ## keep the hop to this version in extension/releases
	@$(MAKE) -C extension release

.PHONY: clean
clean:  ## remove what was built or fetched, the embedded PostgreSQL's data included
	@if test -x $(BIN)/python && test -d .quantumflow; then $(BIN)/python tools/dev_psql.py --destroy; fi
	@$(MAKE) -s -C extension clean
	rm -rf $(VENV) .cache .quantumflow .hypothesis .mypy_cache .pytest_cache .ruff_cache python-client/dist

# Servers of other versions, from npm, checked likewise.
$(MATRIX): tools/fetch_postgres.py
	@rm -rf $@
	@$(PYTHON) tools/fetch_postgres.py $(notdir $@) $@
	@touch $@

# pgTAP, the SQL tests' library: plain SQL, from npm, checked against what it was when it was chosen.
$(PGTAP): tools/fetch_pgtap.py
	@$(PYTHON) tools/fetch_pgtap.py .cache/pgtap

# axe-core, which looks at the pages' accessibility, from npm, checked likewise.
$(AXE): tools/fetch_axe.py
	@$(PYTHON) tools/fetch_axe.py $@
