# make lab: open the course.  make test: everything.  Both set up .venv by themselves.
PYTHON ?= python3
VENV := .venv
# Half of the tests wait for something: one worker more than cores, four at most.
WORKERS ?= $(shell $(PYTHON) -c 'import os; print(min(4, (os.cpu_count() or 1) + 1))')
BIN := $(VENV)/bin
# with uv where it can be had, otherwise with pip; -P: the package's own folder must not hide a standard module
INSTALL := $(BIN)/python -P labkit/installer.py
# make lab PARTS=all: also what parts 4 and 6 would fetch on first use
PARTS ?=
ifneq ($(filter-out all,$(PARTS)),)
$(error PARTS=$(PARTS): only PARTS=all is known; without it each part fetches what it needs on first use)
endif

.PHONY: lab reset solutions test test-live test-notebooks bench notebooks lint colab clean

lab: $(VENV)/$(if $(PARTS),all,lab).done
	@$(BIN)/python -m labkit.course.learner copy
	$(BIN)/jupyter lab lab/00_start_here.ipynb

# bring one notebook of lab/ back as it was: make reset NB=10 (YES=1: without being asked)
reset: $(VENV)/lab.done
	@test -n "$(NB)" || { echo "usage: make reset NB=10 [YES=1]"; exit 2; }
	@$(BIN)/python -m labkit.course.learner reset "$(NB)" $(if $(YES),--yes)

solutions: $(VENV)/lab.done
	@$(BIN)/python -m labkit.course.learner solutions

test: $(VENV)/test.done lint
	$(BIN)/python -m pytest tests -m "not live" -n $(WORKERS) --dist loadgroup
	$(BIN)/python -m pytest --doctest-modules labkit -q
	@$(MAKE) --no-print-directory -j2 --output-sync=target test-live test-notebooks

# these start real servers and engines, one after the other
test-live: $(VENV)/test.done
	$(BIN)/python -m pytest tests -m live

# strict: every stored output is compared, except in cells tagged nbval-ignore-output
test-notebooks: $(VENV)/test.done
	LABKIT_ENGINE=twin LABKIT_TWIN_HURRY=4 $(BIN)/python -m pytest --nbval --nbval-current-env --nbval-sanitize-with tests/nbval.cfg \
		--nbval-cell-timeout 180 -p no:cacheprovider notebooks

lint: $(VENV)/test.done
	$(BIN)/ruff check labkit tests gpu_setup
	$(BIN)/mypy

bench: $(VENV)/test.done
	$(BIN)/python -m tests.bench.bench
	$(BIN)/python -m tests.bench.bench_consistency
	$(BIN)/python -m tests.bench.bench_crdt
	$(BIN)/python -m tests.bench.bench_inference
	$(BIN)/python -m tests.bench.bench_gateway
	$(BIN)/python -m tests.bench.bench_panels

notebooks: $(VENV)/test.done
	$(BIN)/python tests/refresh_notebooks.py $(NB)

# Point the notebooks' Colab install cells and badges at your copy: make colab REPO=owner/name
colab:
	@test -n "$(REPO)" || { echo "usage: make colab REPO=owner/name"; exit 2; }
	$(PYTHON) gpu_setup/stamp.py $(REPO)

clean:
	rm -rf $(VENV)

$(VENV)/venv.done:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; try: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 2; }
	@echo "making $(VENV) ..."
	@$(PYTHON) -m venv --without-pip $(VENV)
	@touch $@

# a stamp is written only after all of its step went well: what broke half-way is done again by the next make
$(VENV)/lab.done: $(VENV)/venv.done pyproject.toml
	@echo "installing JupyterLab and the course into $(VENV) (about 450 MB, once) ..."
	@$(INSTALL) pip -e '.[lab]'
	@touch $@

$(VENV)/all.done: $(VENV)/venv.done pyproject.toml
	@echo "installing JupyterLab and all parts of the course into $(VENV) (about 1.1 GB, once) ..."
	@$(INSTALL) pip -e '.[lab,data,platform]'
	@touch $@ $(VENV)/lab.done

$(VENV)/test.done: $(VENV)/venv.done pyproject.toml
	@echo "installing all parts of the course and the test tools into $(VENV) (about 1.4 GB, once) ..."
	@$(INSTALL) pip -e '.[test]'
	@touch $@ $(VENV)/lab.done $(VENV)/all.done
