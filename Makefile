# make lab: open the course.  make test: everything.  Both set up .venv by themselves.
PYTHON ?= python3
VENV := .venv
# Half of the tests wait for something: one worker more than cores, four at most.
WORKERS ?= $(shell $(PYTHON) -c 'import os; print(min(4, (os.cpu_count() or 1) + 1))')
BIN := $(VENV)/bin
PYTEST := $(BIN)/python -m pytest --durations=12 --durations-min=5
# with uv where it can be had, otherwise with pip; -P: the package's own folder must not hide a standard module
INSTALL := $(BIN)/python -P labkit/installer.py
# make lab PARTS=all: also what parts 4 and 6 would fetch on first use
PARTS ?=
ifneq ($(filter-out all,$(PARTS)),)
$(error PARTS=$(PARTS): only PARTS=all is known; without it each part fetches what it needs on first use)
endif

.PHONY: lab reset solutions bench notebooks lint colab clean \
	test test-lint test-engine test-package test-alone test-notebooks test-browser test-313

lab: $(VENV)/$(if $(PARTS),all,lab).done
	@$(BIN)/python -m labkit.course.learner copy
	$(BIN)/jupyter lab lab/00_start_here.ipynb

# bring one notebook of lab/ back as it was: make reset NB=10 (YES=1: without being asked)
reset: $(VENV)/lab.done
	@test -n "$(NB)" || { echo "usage: make reset NB=10 [YES=1]"; exit 2; }
	@$(BIN)/python -m labkit.course.learner reset "$(NB)" $(if $(YES),--yes)

solutions: $(VENV)/lab.done
	@$(BIN)/python -m labkit.course.learner solutions

# Every stage runs, even if one before it failed; what each took is told at the end. Those joined by + run side by side.
test: $(VENV)/test.done
	+@$(BIN)/python tests/stages.py lint+engine package alone notebooks browser

test-lint: $(VENV)/test.done
	$(BIN)/ruff check labkit tests gpu_setup
	$(BIN)/mypy

# the real engine is installed while something else is at work; without a network its tests say so and are skipped
test-engine: $(VENV)/test.done
	-$(BIN)/python -m labkit.inference.engine install

# the package and its docstrings, with small servers of its own
test-package: $(VENV)/test.done
	$(PYTEST) tests labkit --doctest-modules --ignore tests/bench -m "not alone and not browser" -n $(WORKERS) --dist loadgroup

# real systems and engines judged by the clock: nothing runs beside them
test-alone: $(VENV)/test.done
	$(PYTEST) tests -m alone

# strict: every stored output is compared, except in cells tagged nbval-ignore-output; then panels and pictures are judged
test-notebooks: $(VENV)/test.done
	LABKIT_ENGINE=twin LABKIT_TWIN_HURRY=4 LABKIT_ENGINE_IDLE=30 $(PYTEST) -p tests.judge --nbval --nbval-current-env --nbval-sanitize-with tests/nbval.cfg \
		--nbval-cell-timeout 600 -p no:cacheprovider -n $(WORKERS) --dist loadfile notebooks

# every control of every lesson in a real JupyterLab; two at a time, because each waits for the other half of the time
test-browser: $(VENV)/test.done
	$(PYTEST) tests/browser -n 2 --dist loadgroup

# what needs neither browser nor engines, on the Python that Colab has: skipped where there is none
test-313:
	@if python3.13 -c '' 2>/dev/null; then \
		$(MAKE) test-package PYTHON=python3.13 VENV=.venv-3.13; \
	else echo "skipped: no python3.13 here (apt install python3.13-venv, or uv python install 3.13)"; fi

lint: test-lint

bench: $(VENV)/test.done
	$(BIN)/python -m tests.bench.bench
	$(BIN)/python -m tests.bench.bench_consistency
	$(BIN)/python -m tests.bench.bench_crdt
	$(BIN)/python -m tests.bench.bench_inference
	$(BIN)/python -m tests.bench.bench_gateway
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m tests.bench.bench_panels

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
	@$(INSTALL) pip -e '.[lab,data,remote,platform]'
	@touch $@ $(VENV)/lab.done

$(VENV)/test.done: $(VENV)/venv.done pyproject.toml
	@echo "installing all parts of the course and the test tools into $(VENV) (about 1.4 GB, once) ..."
	@$(INSTALL) pip -e '.[test]'
	@touch $@ $(VENV)/lab.done $(VENV)/all.done
