# `make demo` and `make test` work on a fresh machine: each first makes .venv from constraints.txt.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: help setup demo grid report evaluate board weights preview test test-slow fuzz test-gpu bench lint format clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(READY) ## make .venv with the tested versions (about 6 GB, 2 minutes)

$(READY): pyproject.toml constraints.txt
	@echo "installing into $(VENV): about 6 GB, 2 minutes on a fast line"
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || \
		{ echo "$$($(PYTHON) --version) must be 3.11 to 3.13; give another: make PYTHON=python3.12 ..."; exit 1; }
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@$(BIN)/python -m compileall -qq -j 0 $(VENV)/lib brainseg || true # on all cores; pip takes one
	@touch $@

demo: $(READY) ## 2 norms x 2 losses on generated phantoms, their table and report (2 to 4 minutes on 2 cores)
	$(BIN)/python -m brainseg.train experiment=demo

grid: $(READY) ## norm x loss x epochs on LGG (conf/experiment/grid.yaml)
	$(BIN)/python -m brainseg.train experiment=grid

report: $(READY) ## of SWEEP=multirun/NAME (default: the latest): what is better, by how much, how sure
	$(BIN)/python -m brainseg.report $(or $(SWEEP),$(shell ls -dt multirun/*/ 2>/dev/null | head -1))

evaluate: $(READY) ## of RUN=outputs/NAME: every score of a run, with intervals and pictures
	$(BIN)/python -m brainseg.evaluate $(RUN)

weights: $(READY) ## train the weights that come along, folds first (two hours on 2 cores with bf16; resumable)
	$(BIN)/python -m brainseg.train experiment=weights
	$(BIN)/python -m brainseg.train experiment=weights split=all split.fold=null
	$(BIN)/python -m brainseg.export multirun/weights --out brainseg/weights/lgg --force

preview: $(READY) ## a contact sheet of the data: images, masks, augmented versions
	$(BIN)/python -m brainseg.data.preview

board: $(READY) ## TensorBoard over multirun/ and outputs/
	@mkdir -p .board multirun outputs
	@ln -sfn ../multirun .board/multirun && ln -sfn ../outputs .board/outputs
	$(BIN)/tensorboard --logdir .board

test: $(READY) ## the tests, 2 to 6 minutes on 2 cores
	$(BIN)/python -m pytest -n auto --dist loadscope

test-slow: $(READY) ## the tests marked slow
	$(BIN)/python -m pytest -m slow -n auto --dist load

fuzz: $(READY) ## ten minutes of drawn data folders, overrides and run folders (tests/fuzz)
	BRAINSEG_FUZZ=1 $(BIN)/python -m pytest -m slow tests/fuzz -n auto --dist loadfile --show-capture=no

test-gpu: $(READY) ## the tests of a CUDA GPU, skipped where there is none
	BRAINSEG_TEST_GPU=1 $(BIN)/python -m pytest -m gpu tests/gpu

bench: $(VENV)/.bench ## this machine's speed beside the plain loop and the peers
	$(BIN)/python -m benchmarks

$(VENV)/.bench: $(READY)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[bench]'
	@touch $@

lint: $(READY) ## ruff, mypy, and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(READY) ## ruff, with its fixes
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## remove .venv and tools' caches; runs and data stay
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .board
