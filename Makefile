# `make run` and `make test` are all that a newcomer needs; `make help` tells the rest.
# `make test PYTHON=python3.13 DJANGO=6.1.3` tests another Python and Django than the pinned ones.
export DJANGO
PYTHON ?= python3
PY := .venv/bin/python
# Where others wait for the result, a test that failed runs again, and the summary names each that needed it.
PYTEST := $(PY) -m pytest $(if $(CI),--reruns 2 -rR)
# Tests of real servers mostly wait for them, so more run side by side than there are cores, and they are begun first:
# `tests/conftest.py` orders the files, not the number of their tests.
SIDE_BY_SIDE := -n 4 --dist loadfile --no-loadscope-reorder
# By our own Node: a machine may have none on its PATH.
BIOME := .venv/bin/node node_modules/@biomejs/biome/bin/biome
MESSAGES := --all --no-location --no-obsolete --no-wrap -v 0 $(patsubst %,-i %,node_modules staticfiles tests benchmarks deploy docs var)
LINTED := chatapp warmcache tests deploy manage.py $(wildcard benchmarks)

# Some machines tell Python to keep no bytecode. Every worker of every stage would then compile and rewrite all tests.
unexport PYTHONDONTWRITEBYTECODE
# What needs one core each runs two at a time; each one's output comes whole.
BESIDE := $(MAKE) --no-print-directory -j2 $(if $(filter output-sync,$(.FEATURES)),--output-sync=target)

.DEFAULT_GOAL := help
.PHONY: setup run run-local serve test check types style node-tests bytecode lint format messages bench soak audit clean help

setup:  ## install everything, development tools included
	@$(PYTHON) deploy/install.py --dev

run:  ## install what is missing, start the demo, print a sign-in link (PORT=8000)
	@$(PYTHON) deploy/install.py && exec $(PY) manage.py demo

run-local:  ## the same on a real, tiny model with a real cache, on this machine alone (127 MB more)
	@$(PYTHON) deploy/install.py --local-model && exec $(PY) manage.py demo --local-model

serve:  ## the production server, without the demo's content and link
	@$(PYTHON) deploy/install.py && exec $(PY) manage.py serve

test: setup  ## check, then every test: Node, then SQLite with Redis and Chromium, then PostgreSQL
	@$(BESIDE) types style node-tests $(if $(CI),bytecode)
	$(PYTEST) -m "not browser and not soak" $(SIDE_BY_SIDE)
	$(PYTEST) tests/browser -m "not soak" $(SIDE_BY_SIDE)
	$(PY) -m tests.servers postgres $(PYTEST) -m "not browser and not soak" --database-only $(SIDE_BY_SIDE)

check: setup  ## what can be checked without running: style, types, layers, migrations, words
	@$(BESIDE) types style

types:
	$(PY) -m mypy

style:
	$(PY) -m ruff check $(LINTED)
	$(PY) -m ruff format --check $(LINTED)
	$(BIOME) check --error-on-warnings
	$(PY) -c "from importlinter.cli import lint_imports_command as run; run()"
	$(PY) manage.py makemigrations --check --dry-run
	$(PY) manage.py write_words --check

node-tests:
	.venv/bin/node --test tests/js/*.test.js tests/js/*/*.test.js

# In a fresh checkout, once instead of in each worker, while the types are checked on the other core.
bytecode:
	@$(PY) -m pytest --collect-only -qq >/dev/null 2>&1 || true  # what is wrong, the tests tell

lint: setup  ## style only
	$(PY) -m ruff check $(LINTED)
	$(BIOME) lint --error-on-warnings

format: setup  ## lay the code out
	$(PY) -m ruff check --fix $(LINTED)
	$(PY) -m ruff format $(LINTED)
	$(BIOME) check --write

messages: setup  ## after a change of texts: the catalogues, to be translated, then compiled (needs gettext)
	$(PY) manage.py makemessages $(MESSAGES) -i warmcache
	$(PY) manage.py makemessages $(MESSAGES) -i warmcache -d djangojs
	cd warmcache && ../$(PY) -m django makemessages $(MESSAGES)
	$(PY) manage.py compilemessages -v 0 -i .venv -i node_modules
	$(PY) manage.py write_words

bench: setup  ## milliseconds, printed
	$(PY) -m benchmarks

soak: setup  ## the long tests, other people's clients against the simulator among them
	$(PY) -m tests.clients
	$(PYTEST) -m soak -o faulthandler_timeout=0
	$(PY) -m benchmarks soak rolling conformance
	EXPLORE=1 $(PYTEST) -m "not browser and not soak" $(SIDE_BY_SIDE) $$(grep -rl "import hypothesis\|from hypothesis" tests --include=test_*.py)

audit:  ## known holes in the pinned packages, where somebody can be asked; not part of `make test`
	@$(PYTHON) deploy/audit.py

clean:  ## throw away what was installed or generated; the database and keys in var/ stay
	rm -rf .venv node_modules staticfiles .mypy_cache .ruff_cache .import_linter_cache .hypothesis

help:  ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
