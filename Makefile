# Everything a developer runs. Needs only python3 (3.11 or newer) and make; the rest goes into .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SCORING := $(VENV)/.scoring
INSTALLED := $(VENV)/.installed

CT ?=
SEG ?=
OUT ?= out
DATA ?= data
PAIRS ?= out/pairs

# Arguments for the tool behind a target, e.g. make bench ARGS="--only panel" or make test ARGS="-k geometry"
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help install demo test lint bench bench-audit experiments label-noise screenshots train clean

help: ## Show this help
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(INSTALLED) ## Create .venv with everything below (done by the other targets when needed)

PIP_INSTALL = test -x $(BIN)/python || $(PYTHON) -m venv $(VENV); \
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt

# Installed once, and again when what is asked for changes. A stamp is written last: an interrupted install is redone.
$(SCORING): Makefile pyproject.toml constraints.txt
	@echo "Installing what scoring needs into $(VENV), once: 2 to 5 minutes. On Linux PyTorch brings CUDA along: 5 GB."
	$(PIP_INSTALL) -e .
	touch $@

$(INSTALLED): Makefile pyproject.toml constraints.txt
	@echo "Installing what development needs into $(VENV), once: 2 to 6 minutes, 8 GB on Linux."
	$(PIP_INSTALL) --quiet -e ".[test,training,published,cpu,text,text-clip,audit,cluster,federated,review]"
	touch $(SCORING) $@

demo: $(SCORING) ## Score a CT phantom with planted errors, or your own files: make demo CT=ct.nii.gz SEG=seg.nii.gz [OUT=out]
ifneq ($(strip $(CT)$(SEG)),)
	$(BIN)/quality-sentinel score --ct "$(CT)" --seg "$(SEG)" --out "$(OUT)" $(ARGS)
else
	$(BIN)/python -m QualitySentinelTrainingLib.demo $(ARGS)
endif

# The story has Slicer's main window, layouts and views: like Slicer itself, it gets a process of its own.
test: lint ## Lint, then run all tests
ifeq ($(strip $(ARGS)),)
	$(BIN)/python -m pytest --ignore=Testing/Python/story; rest=$$?; \
	$(BIN)/python -m pytest Testing/Python/story && exit $$rest
else
	$(BIN)/python -m pytest $(ARGS)
endif

lint: $(INSTALLED) ## Check style and types, and that the CMake files list every script and resource
	$(BIN)/ruff check .
	$(BIN)/python Testing/list_module_files.py --check
	$(BIN)/python Testing/slicer_stubs.py
	$(BIN)/mypy

bench: $(INSTALLED) ## Measure speed, memory and the share of the network on this machine
	$(BIN)/python Testing/Benchmarks/bench.py $(ARGS)

bench-audit: $(INSTALLED) ## Measure audits of data sets: throughput, memory, kills, Ray (an hour; ARGS="--quick": minutes)
	$(BIN)/python Testing/Benchmarks/audit_bench.py $(ARGS)

experiments: $(INSTALLED) ## Compare trainings: make experiments PAIRS=folder ARGS="architectures" (or text, data-amount)
	$(BIN)/python QualitySentinelTraining/Research/experiments.py $(ARGS) --pairs "$(PAIRS)"

label-noise: $(INSTALLED) ## Find known label errors, train on what was found: make label-noise DATA=folder of OpenKBP [OUT=out]
	$(BIN)/python QualitySentinelTraining/Research/label_noise.py --data "$(DATA)" --out "$(OUT)/label-noise" $(ARGS)

screenshots: $(INSTALLED) ## Draw the pictures of README.md again
	$(BIN)/python Testing/screenshots.py $(ARGS)

train: $(INSTALLED) ## Make pairs and train: make train DATA=folder [OUT=out] [ARGS="--config try_out"], see docs/TRAINING.md
	$(BIN)/quality-sentinel make-pairs --data "$(DATA)" --out "$(OUT)/pairs" --phantoms 40 --jobs 2
	$(BIN)/quality-sentinel train --pairs "$(OUT)/pairs" --out "$(OUT)" $(ARGS)

clean: ## Remove .venv and everything generated
	rm -rf $(VENV) build dist out runs .mypy_cache .pytest_cache .ruff_cache .coverage
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
