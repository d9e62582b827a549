# On a fresh machine start with `make demo` or `make test`; both create .venv first.
PYTHON ?= python3
BIN := .venv/bin
STUDY ?= config/config.yaml
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: help install demo studies pocket report pin fetch test test-all test-slurm test-browser test-trackers check-demo lint reference lock clean
.DEFAULT_GOAL := help

help: ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 14

.venv/made: envs/requirements.lock pyproject.toml
	@$(PYTHON) envs/install.py
	@touch $@

install: .venv/made ## create the environment in .venv

demo: .venv/made ## run the lab study on this machine: three to seven minutes on two cores
	snakemake
	snakemake --report results/studies/lab/snakemake-report.html --quiet all

report: .venv/made ## rewrite STUDY's tables, figures and report.html from the existing scores
	python -m xstilts study --study $(STUDY)

STUDIES := config/config.yaml $(patsubst %,config/studies/lab_%.yaml,order scale language size)

studies: .venv/made ## run the five studies of the lab, one after the other
	for study in $(STUDIES); do snakemake --configfile $$study || exit 1; done

POCKET := config/studies/pocket.yaml $(if $(and $(XSTILTS_REAL_MODEL),$(XSTILTS_REAL_DATA)),config/local/pocket.yaml)

pocket: .venv/made ## run a small study of real weights on this machine (see config/studies/pocket.yaml)
	$(if $(word 2,$(POCKET)),,snakemake fetch_all --configfile $(POCKET))
	snakemake --configfile $(POCKET)

pin: .venv/made ## write the commits of STUDY's repositories on the Hub to config/hub.lock.yaml
	xstilts pin --study $(STUDY)

fetch: .venv/made ## download everything that STUDY needs; no other job needs a network
	snakemake fetch_all --configfile $(STUDY)

test: .venv/made ## run the quick tests: about five minutes on two cores
	pytest --numprocesses auto --dist worksteal -m "not slow"

test-all: .venv/made ## the slow tests, too: complete Snakemake runs, kills, the Hub's studies
	pytest --numprocesses auto --dist worksteal

test-slurm: .venv/made ## run the workflow on a SLURM cluster that the tests start and stop
	pytest --override-ini addopts=-q --numprocesses 2 --dist loadfile tests/slurm  # two clusters

test-browser: .venv/made ## test the report in Chromium (Debian: apt-get install chromium npm)
	npm install --silent --prefix tests/browser  # axe-core, the accessibility checker
	pytest --override-ini addopts=-q tests/browser

test-trackers: .venv/made ## run the tests of TensorBoard and trackio, in an environment of their own
	$(PYTHON) -m venv .venv-trackers
	.venv-trackers/bin/pip install --quiet --requirement envs/requirements.lock
	.venv-trackers/bin/pip install --quiet '.[trackers]'  # its pins may replace some of the lock's
	PYTHONPATH=workflow .venv-trackers/bin/python -m pytest tests/modelling/test_trackers.py
	rm -rf .venv-trackers

check-demo: .venv/made ## compare a finished demo, and the lab's other studies, with what is planted
	pytest --override-ini addopts=-q tests/demo

lint: .venv/made ## check style, formatting, the Snakefile and that generated files are up to date
	ruff check .
	ruff format --check .
	snakefmt --check Snakefile workflow/rules
	snakemake --lint
	pytest tests/config/test_reference.py
	python -m tests.phase_code

reference: .venv/made ## regenerate the configuration's schemas and tables
	python -m tests.reference

lock: ## resolve the pinned requirements again, into envs/requirements.lock
	$(PYTHON) -m venv .venv-lock
	.venv-lock/bin/pip install --quiet '.[dev]'
	.venv-lock/bin/pip freeze --all --exclude pip --exclude xstilts | sed 's/+cpu$$//' > envs/requirements.lock
	rm -rf .venv-lock

clean: ## remove the environment (results are kept)
	rm -rf .venv
