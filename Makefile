# Every command a person types. CI and the commit hooks call only these. `make help` lists them.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV ?= .venv
DATASET ?= auto
PYTEST_FLAGS ?=
# Test files run in so many processes: most of a test run is waiting for servers to start.
TEST_JOBS ?= 2
export MLFLOW_TRACKING_URI ?= http://127.0.0.1:5500

BIN := $(VENV)/bin
PACKAGES := shared projects/housing projects/recommender projects/image-classifier
CODE := $(PACKAGES) scripts tests benchmarks docker conftest.py

##@ Use it
.PHONY: help up setup
help: ## list the commands
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z0-9-]+:.*## / {printf "  make %-20s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

up: setup ## set up, train what is missing, serve the models until Ctrl-C (DATASET=auto|sample|full|path)
	@exec $(BIN)/python scripts/up.py --data "$(DATASET)"

setup: $(VENV)/.installed ## install everything into .venv (needs Python 3.11 or newer with its venv module)

$(VENV)/.installed: requirements/installer.lock requirements/dev.lock pyproject.toml $(PACKAGES:%=%/pyproject.toml)
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit(f"Python 3.11 or newer is needed, this is {sys.version.split()[0]}: set PYTHON=python3.x")'
	@echo "Installing into $(VENV): the first time takes about a minute"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/installer.lock
	@$(BIN)/uv pip sync --quiet --python $(BIN)/python requirements/dev.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation $(PACKAGES:%=-e %)
	@touch $@

##@ Check it
.PHONY: test check format types tests coverage hooks
test: check tests ## set up, lint, check types, run all tests

check: setup types ## lint, formatting, types, workflow files
	@$(BIN)/ruff check $(CODE)
	@$(BIN)/ruff format --check $(CODE)
	@$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	@$(BIN)/check-jsonschema --builtin-schema vendor.dependabot .github/dependabot.yml
	@$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec compose.yaml docker/offline.yaml
	@$(BIN)/zizmor --offline --quiet .github

types: setup ## check the types of what is not a test
	@$(BIN)/mypy $(PACKAGES:%=%/src) scripts benchmarks docker

tests: setup ## run the tests (PYTEST_FLAGS="-k name" for some)
	@$(BIN)/python -m pytest -n $(TEST_JOBS) --dist loadfile $(PYTEST_FLAGS)

coverage: setup ## run the tests and report which lines they reach
	@$(BIN)/python -m pytest -n $(TEST_JOBS) --dist loadfile --cov --cov-report=term $(PYTEST_FLAGS)
	@$(if $(SUMMARY),$(BIN)/coverage report --format=markdown >>"$(SUMMARY)")

format: setup ## format the code and mend what the linter can mend
	@$(BIN)/ruff check --fix $(CODE)
	@$(BIN)/ruff format $(CODE)

hooks: setup ## install the commit hooks
	@$(BIN)/pre-commit install

##@ House prices
.PHONY: train-housing tune-housing serve-housing rollback-housing bench-housing
train-housing: setup ## train, evaluate, register, and pass the gate (DATASET=auto|sample|full|path)
	@$(BIN)/python scripts/with_mlflow.py $(BIN)/housing train --data "$(DATASET)"

tune-housing: setup ## search hyper-parameters on the public data's training part; resumes where it stopped
	@$(BIN)/housing tune --data full

serve-housing: setup ## serve the champion on its own (127.0.0.1:8001)
	@HOUSING_TRACKING_URI="$${HOUSING_TRACKING_URI:-$$MLFLOW_TRACKING_URI}" exec $(BIN)/housing serve

rollback-housing: setup ## give the alias back to the champion before this one
	@$(BIN)/python scripts/with_mlflow.py $(BIN)/housing rollback

bench-housing: setup ## serving against a bare request, and the five-fold table against peers
	@$(BIN)/python benchmarks/housing_serving.py
	@$(BIN)/python benchmarks/housing_models.py

##@ Films
.PHONY: train-recommender tune-recommender serve-recommender rollback-recommender bench-recommender bench-recommender-more
train-recommender: setup ## train, evaluate, register, and pass the gate (DATASET=auto|sample|full|path)
	@$(BIN)/python scripts/with_mlflow.py $(BIN)/recommender train --data "$(DATASET)"

tune-recommender: setup ## search the grid on validation; write tuned.json
	@$(BIN)/recommender tune --data "$(DATASET)"

serve-recommender: setup ## serve the champion on its own (127.0.0.1:8002)
	@RECOMMENDER_TRACKING_URI="$${RECOMMENDER_TRACKING_URI:-$$MLFLOW_TRACKING_URI}" exec $(BIN)/recommender serve

rollback-recommender: setup ## give the alias back to the champion before this one
	@$(BIN)/python scripts/with_mlflow.py $(BIN)/recommender rollback

bench-recommender: setup ## the table against peers, and serving against a bare request
	@$(BIN)/python benchmarks/recommender_serving.py
	@$(BIN)/python benchmarks/recommender_models.py

bench-recommender-more: setup ## time and memory on a million generated ratings; what can be read from a model about people
	@$(BIN)/python benchmarks/recommender_large.py
	@$(BIN)/python benchmarks/recommender_privacy.py

##@ Pictures
.PHONY: train-image-classifier ablate-image-classifier serve-image-classifier rollback-image-classifier bench-image-classifier
train-image-classifier: setup ## train, evaluate, register, and pass the gate (DATASET=auto|sample|full|path)
	@$(BIN)/python scripts/with_mlflow.py $(BIN)/image-classifier train --data "$(DATASET)"

ablate-image-classifier: setup ## what each part of the training buys, with a budget of 3 epochs each
	@$(BIN)/image-classifier ablation --data full $(if $(WEIGHTS),--weights "$(WEIGHTS)")

serve-image-classifier: setup ## serve the champion on its own (127.0.0.1:8003)
	@IMAGE_CLASSIFIER_TRACKING_URI="$${IMAGE_CLASSIFIER_TRACKING_URI:-$$MLFLOW_TRACKING_URI}" exec $(BIN)/image-classifier serve

rollback-image-classifier: setup ## give the alias back to the champion before this one
	@$(BIN)/python scripts/with_mlflow.py $(BIN)/image-classifier rollback

bench-image-classifier: setup ## probe and fine-tuned model on the test split, and serving against the bare graph
	@$(BIN)/python benchmarks/image_classifier_serving.py
	@$(BIN)/python benchmarks/image_classifier_models.py $(if $(WEIGHTS),--weights "$(WEIGHTS)")

##@ All projects
.PHONY: data reports
data: setup ## download the public data into PORTFOLIO_DATA_DIR (.data) and report what is in them
	@$(BIN)/housing data --data full
	@$(BIN)/recommender data --data full
	@$(BIN)/image-classifier data --data full

reports: setup ## train on the public data and rewrite the READMEs' tables and figures
	@$(BIN)/housing report --data full
	@$(BIN)/recommender report --data full
	@$(BIN)/image-classifier report --data full $(if $(WEIGHTS),--weights "$(WEIGHTS)")

##@ Containers
.PHONY: docker-build compose-up compose-down compose-test upgrade-drill load-test image-budgets
# The commit is recorded in the images and in what they train; an address with a password in it is not.
COMPOSE := GIT_COMMIT=$$(git rev-parse HEAD 2>/dev/null || echo unknown) \
	CREATED=$$(git log -1 --format=%cI 2>/dev/null) \
	SOURCE="$${SOURCE:-$$(git config --get remote.origin.url 2>/dev/null | sed 's|//[^/]*@|//|')}" docker compose

docker-build: ## build every image
	@for name in $$($(COMPOSE) config --services | sort); do $(COMPOSE) build $$name; done  # each build uses every core

compose-up: docker-build ## build what has changed and start everything; returns when it can be used (DATASET=auto|sample|full)
	@$(COMPOSE) up --detach
	@for name in $$($(COMPOSE) config --services | grep -- -trainer); do \
		test "$$(docker wait $$($(COMPOSE) ps --all --quiet $$name))" = 0 \
			|| { $(COMPOSE) logs --tail 20 $$name; echo "$$name failed: see above"; exit 1; }; \
	done
	@$(COMPOSE) up --no-recreate --detach --wait $$($(COMPOSE) config --services | grep -v -- -trainer)
	@for _ in 1 2 3 4 5; do $(COMPOSE) logs --no-log-prefix index | grep -o 'Ready\. .*' && exit; sleep 2; done; exit 1

compose-down: ## stop everything; what was trained stays (docker compose down -v removes that too)
	@$(COMPOSE) down

compose-test: setup ## build, start, break and restart the containers on sample data, apart from those that run
	@$(BIN)/python scripts/compose_test.py

upgrade-drill: setup ## start another commit's containers, then these on their volumes (FROM=HEAD~1)
	@$(BIN)/python scripts/compose_test.py --upgrade-from "$(or $(FROM),HEAD~1)"

load-test: setup ## 50 clients at once on each service of the stack that is up, two minutes each
	@$(BIN)/python benchmarks/load.py

image-budgets: ## check the sizes and contents of the built images
	@$(PYTHON) scripts/image_budgets.py

##@ Look after it
.PHONY: mlflow lock clean changed-projects
mlflow: setup ## MLflow's own page, until Ctrl-C
	@exec $(BIN)/python scripts/with_mlflow.py

lock: setup ## compile requirements/*.lock anew from the pyproject files
	@$(BIN)/python scripts/lock.py

changed-projects: ## for the workflow: which projects differ from the commit BASE
	@python3 scripts/changed_projects.py "$(BASE)"

clean: ## remove the environment and everything that was made (not the data cache)
	rm -rf $(VENV) .state .coverage htmlcov .mypy_cache .pytest_cache .ruff_cache
