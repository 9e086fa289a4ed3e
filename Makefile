# Two commands matter: `make demo` and `make test`.  Each sets up what it needs (a virtual
# environment in .venv) and then does its job.  `make help` lists the rest.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: bench-lab bench-neighbour bench-state help demo test check bench fuzz soak interop interop-qemu lab lab-shell stubdom deb install generate format clean
.DELETE_ON_ERROR:

help:  ## what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## /\1|/' | \
	    while IFS='|' read -r name what; do printf 'make %-16s %s\n' "$$name" "$$what"; done

# tools/prerequisites.sh says in one line what is missing and which command installs it.
$(STAMP): pyproject.toml tools/prerequisites.sh
	@sh tools/prerequisites.sh $(PYTHON)
	@echo "setting up $(VENV) (the first time this takes a minute)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

demo: $(STAMP)  ## save and restore a real QEMU's state through the proxy, without Xen
	@$(BIN)/python tools/demo.py

test: $(STAMP)  ## run the tests, and print the coverage of protocol/ and backend/fileserver/
	@$(BIN)/python -m tools.run_tests $(ARGS)

check: $(STAMP)  ## lint, types, import rules, generated files
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/python tools/generate_codec.py --check
	@$(BIN)/python tools/generate_docs.py --check
	@$(BIN)/python -m pytest -q -p no:cacheprovider tests/test_import_rules.py

bench: $(STAMP)  ## requests/s, MB/s and CPU per request, against pread/pwrite in the same run
	@$(BIN)/python tools/bench.py $(ARGS)

$(VENV)/.fuzz: $(STAMP)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev,fuzz]'
	@touch $@

fuzz: $(VENV)/.fuzz  ## the fuzz targets under coverage guidance, a minute each
	@$(BIN)/python tools/fuzz.py $(ARGS)

soak: $(STAMP)  ## the tests that take too long for make test: models, memory, neighbours
	@$(BIN)/python -m pytest -m long -s -p no:cacheprovider $(ARGS)

interop: $(STAMP)  ## real programs on the share, in a Linux guest in QEMU (ARGS=--help)
	@$(BIN)/python -m tools.linux_guest $(ARGS)

interop-qemu: $(STAMP)  ## a real QEMU's state and monitor on the share, in every way (ARGS=--help)
	@$(BIN)/python -m tools.qemu_ways $(ARGS)

lab: $(STAMP)  ## the program under real Xen in QEMU, with guests that xl starts (ARGS=--help)
	@$(BIN)/python -m tools.lab $(ARGS)

lab-shell: $(STAMP)  ## the same machine, without the tests: what is typed runs in its Dom0
	@$(BIN)/python -m tools.lab --shell $(ARGS)

stubdom: $(STAMP)  ## a Linux stub domain with QEMU that uses the proxy, of Debian's packages (ARGS=--help)
	@$(BIN)/python -m tools.stubdom $(ARGS)

bench-lab: $(STAMP)  ## our backend beside QEMU's or Xen's, under real Xen: a table of ratios (ARGS=--help)
	@$(BIN)/python -m tools.lab.bench $(ARGS)

bench-state: $(STAMP)  ## a stub domain's bytes to Dom0, by the share and by its console (ARGS=--help)
	@$(BIN)/python -m tools.lab.transfer $(ARGS)

deb:  ## build/xen-fileproxy_VERSION_all.deb, for Debian 12 and 13
	@sh tools/debian/build.sh

install:  ## unit, scripts, pages and commands into DESTDIR (docs/install.md says what else)
	@sh tools/dom0/install.sh $(DESTDIR)

bench-neighbour: $(STAMP)  ## what a flooding guest costs its neighbour
	@$(BIN)/python tools/bench_neighbour.py $(ARGS)

generate: $(STAMP)  ## write the generated files anew
	@$(BIN)/python tools/generate_codec.py
	@$(BIN)/python tools/generate_docs.py

format: $(STAMP)  ## lay the code out
	@$(BIN)/ruff check --fix --quiet .
	@$(BIN)/ruff format .

clean:  ## remove what make made
	rm -rf $(VENV) build *.egg-info .coverage .coverage.* .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
