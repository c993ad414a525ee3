# Every command a person types; CI and the commit hooks run the tests by the same ones. `make help` lists them. A recipe
# of more than one command stops at the first that fails by itself: macOS's make 3.81 does not read .SHELLFLAGS.

SHELL := /bin/bash
.DEFAULT_GOAL := help
# Two goals may install into one environment.
.NOTPARALLEL:

PYTHON ?= python3
VENV ?= .venv
DATASET ?= auto
FLAGS ?=
# Where torch comes from: auto, one of uv's names such as cpu or cu130, or nothing for the package index.
TORCH_BACKEND ?= auto
PYTEST_FLAGS ?=
# Test files run in so many processes, of up to 2 GB: a part of a test run is waiting for servers to start.
TEST_JOBS ?= $(shell n=$$(getconf _NPROCESSORS_ONLN); echo $$((n < 3 ? n + 1 : 4)))
# The benchmarks of a project that bench-PROJECT runs, in this order: benchmarks/PROJECT_PART.py.
BENCH ?= models
export MLFLOW_TRACKING_URI ?= http://127.0.0.1:5500

PROJECTS := $(patsubst projects/%/pyproject.toml,%,$(sort $(wildcard projects/*/pyproject.toml)))
PACKAGES := shared $(PROJECTS:%=projects/%)
CODE := $(PACKAGES) scripts templates tests benchmarks docker deploy docs conftest.py
BIN := $(VENV)/bin
# In two processes on two cores, threads of linear algebra would wait for each other.
PYTEST = OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 "$(BIN)/python" -m pytest -n $(TEST_JOBS) --no-loadscope-reorder
# In the name of a prerequisite a space is escaped.
nothing :=
INSTALLED := $(subst $(nothing) ,\ ,$(VENV))/.installed
STARTED := $(subst $(nothing) ,\ ,$(VENV))/.started
# Where everything is installed, there is nothing less to install.
START := $(if $(shell test -e "$(VENV)/.installed" && echo yes),$(INSTALLED),$(STARTED))

# Where a backend is named that is not the one in the marker, everything is installed with it.
ifneq ($(origin TORCH_BACKEND),file)
ifneq (torch=$(TORCH_BACKEND),$(shell cat "$(VENV)/.installed" 2>/dev/null))
  .PHONY: $(INSTALLED)
endif
endif

##@ Use it
.PHONY: help up setup setup-start
help: ## list the commands
	@awk -v projects="$(PROJECTS)" 'BEGIN {FS = ":.*## "} \
		/^##@/ {sub(/PROJECT/, "&: " projects); printf "\n%s\n", substr($$0, 5)} \
		/^[a-z0-9-]+%?:.*## / {sub(/%/, "PROJECT", $$1); printf "  make %-18s %s\n", $$1, $$2}' Makefile

up: setup-start ## set up, train what is missing, serve the models until Ctrl-C (DATASET=auto|sample|full|path)
	@exec "$(BIN)/python" scripts/up.py --data "$(DATASET)"

setup: $(INSTALLED) ## install everything into .venv (needs Python 3.11 to 3.14 with its venv module)

setup-start: $(START) ## install what `make up` needs into .venv: no torch, and no tools for development

# The lock of a marker is that of its name; dev.lock has all that start.lock has, in the same versions. START is from before
# the first goal: where one goal has installed everything, the next must not take it for what `make up` needs alone.
$(INSTALLED): LOCK = dev
$(STARTED): LOCK = start
$(INSTALLED): requirements/dev.lock
$(STARTED): requirements/start.lock
$(INSTALLED) $(STARTED): requirements/installer.lock pyproject.toml $(PACKAGES:%=%/pyproject.toml)
	@set -e; if test $(LOCK) = start && test -e "$(VENV)/.installed"; then exit; fi; \
		$(PYTHON) -c 'import sys; (3, 11) <= sys.version_info < (3, 15) or sys.exit("Python 3.11 to 3.14 is needed, this is %d.%d: set PYTHON=python3.x" % sys.version_info[:2])'; \
		rm -f "$@"; \
		echo "Installing requirements/$(LOCK).lock into $(VENV): the first time takes about a minute"; \
		$(PYTHON) -m venv "$(VENV)"; \
		"$(BIN)/python" -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/installer.lock; \
		"$(BIN)/python" scripts/install.py requirements/$(LOCK).lock "$(TORCH_BACKEND)"; \
		"$(BIN)/uv" pip install --quiet --python "$(BIN)/python" --no-deps --no-build-isolation $(PACKAGES:%=-e %); \
		echo "torch=$(TORCH_BACKEND)" >"$@"

##@ Check it
.PHONY: test test-all test-suites tests check audit coverage format hooks
test: check ## lint, types and the tests that are not long: what to run before each commit
	@$(PYTEST) -m "not long" $(PYTEST_FLAGS)

test-all: check tests ## lint, types and every test: what CI runs

test-suites: setup ## inputs made with a fixed seed: JSON bodies, tables, pictures of every kind
	@$(PYTEST) -m suite $(PYTEST_FLAGS)

tests: setup ## every test, without lint and types (PYTEST_FLAGS="-k name" for some)
	@$(PYTEST) $(PYTEST_FLAGS)

check: setup ## lint, formatting, types, workflow files
	@"$(BIN)/ruff" check $(CODE)
	@"$(BIN)/ruff" check --preview --select PLW1514 $(CODE)  # every file is opened with its encoding named
	@"$(BIN)/ruff" format --check $(CODE)
	@"$(BIN)/mypy" --num-workers auto $(PACKAGES:%=%/src) scripts benchmarks docker
	@"$(BIN)/check-jsonschema" --builtin-schema vendor.github-workflows .github/workflows/*.yml
	@"$(BIN)/check-jsonschema" --builtin-schema vendor.dependabot .github/dependabot.yml
	@"$(BIN)/check-jsonschema" --builtin-schema vendor.github-issue-forms .github/ISSUE_TEMPLATE/[!c]*.yml
	@"$(BIN)/check-jsonschema" --builtin-schema vendor.citation-file-format CITATION.cff
	@"$(BIN)/check-jsonschema" --builtin-schema vendor.compose-spec compose.yaml docker/*.yaml projects/*/compose.yaml
	@"$(BIN)/zizmor" --offline --quiet .github

audit: setup ## whether a pinned version has a known vulnerability; fails too where the data cannot be had
	@"$(BIN)/uv" pip install --quiet --python "$(BIN)/python" --require-hashes -r requirements/audit.lock
	@"$(BIN)/python" scripts/audit.py $(FLAGS)

coverage: setup ## every test, and which lines they reach
	@$(PYTEST) --cov --cov-report=term $(PYTEST_FLAGS)
	@$(if $(SUMMARY),"$(BIN)/coverage" report --format=markdown >>"$(SUMMARY)")

format: setup ## format the code and mend what the linter can mend
	@"$(BIN)/ruff" check --fix $(CODE)
	@"$(BIN)/ruff" format $(CODE)

hooks: setup ## install the commit hooks
	@"$(BIN)/pre-commit" install

# Training one of these to its best needs torch, which comes with everything; the others need no more than `make up`.
FINETUNED := $(patsubst projects/%/pyproject.toml,%,$(shell grep -l '^finetune = ' $(PROJECTS:%=projects/%/pyproject.toml)))
$(FINETUNED:%=train-%) $(FINETUNED:%=retrain-%): setup
$(foreach project,$(filter-out $(FINETUNED),$(PROJECTS)),train-$(project) retrain-$(project)): setup-start

PROJECT = $(or $(filter $*,$(PROJECTS)),$(error there is no project $*, there are: $(PROJECTS)))

##@ One PROJECT (FLAGS="..." is passed on)
train-%: ## train, evaluate, register, and pass the gate (DATASET=auto|sample|full|path)
	@"$(BIN)/python" scripts/mlflow_server.py "$(BIN)/$(PROJECT)" train --data "$(DATASET)" $(FLAGS)

retrain-%: ## the same with feedback as well, from the service's log (FLAGS="--why drift --promote")
	@"$(BIN)/python" scripts/mlflow_server.py "$(BIN)/$(PROJECT)" retrain --data "$(DATASET)" $(FLAGS)

serve-%: setup-start ## serve the champion on its own
	@set -e; name=$$(echo "$(PROJECT)_TRACKING_URI" | tr a-z- A-Z_); \
		export "$$name=$${!name:-$$MLFLOW_TRACKING_URI}"; exec "$(BIN)/$(PROJECT)" serve $(FLAGS)

tune-%: setup ## search what the training takes as given, on the public data's training part
	@"$(BIN)/$(PROJECT)" tune --data "$(if $(filter-out auto,$(DATASET)),$(DATASET),full)" $(FLAGS)

rollback-%: setup-start ## give the alias back to the champion before this one
	@"$(BIN)/python" scripts/mlflow_server.py "$(BIN)/$(PROJECT)" rollback

bench-%: setup ## models against baselines (BENCH=models)
	@"$(BIN)/uv" pip install --quiet --python "$(BIN)/python" --require-hashes -r requirements/benchmark.lock
	@for part in $(BENCH); do \
		PYTHONPATH=scripts "$(BIN)/python" "benchmarks/$(subst -,_,$(PROJECT))_$$part.py" $(FLAGS) || exit 1; \
	done

##@ All projects
.PHONY: data reports system-design bench-serving bench-batch bench-log bench-shadow bench-overload bench-endurance drift-power sequence-power drift-demo
data: setup-start ## download the public data into PORTFOLIO_DATA_DIR (.data) and report what is in them
	@for name in $(PROJECTS); do "$(BIN)/$$name" data --data full || exit 1; done

reports: setup ## train on the public data and rewrite the READMEs' tables and figures
	@for name in $(PROJECTS); do "$(BIN)/$$name" report --data full || exit 1; done
	@"$(BIN)/python" benchmarks/system_design.py

system-design: setup ## fill docs/system-design.md from what was measured and from benchmarks/system_design.toml
	@"$(BIN)/python" benchmarks/system_design.py
	@"$(BIN)/python" benchmarks/cloud_cost.py

# The peers get an environment of their own: their versions of OpenTelemetry are not ours.
PEERS := .state/peers
bench-serving: setup ## services beside FastAPI, MLflow, BentoML, LitServe and torch, 11 minutes (FLAGS="--project housing")
	@"$(BIN)/uv" venv --quiet --allow-existing --python "$(BIN)/python" "$(PEERS)"
	@"$(BIN)/uv" pip install --quiet --python "$(PEERS)/bin/python" --require-hashes -r requirements/peers.lock
	@PYTHONPATH=scripts:benchmarks "$(BIN)/python" benchmarks/serving $(FLAGS)

bench-batch: setup ## files of rows beside the usual tools: rows a second of one core, in the same run
	@for name in $(PROJECTS); do $(MAKE) --no-print-directory "bench-$$name" BENCH=batch || exit 1; done

bench-log: setup ## what the prediction log and traces cost a service, in CPU and bytes per request (FLAGS="--before CHECKOUT")
	@PYTHONPATH=scripts "$(BIN)/python" benchmarks/prediction_log_cost.py $(FLAGS)
	@PYTHONPATH=scripts "$(BIN)/python" benchmarks/log_rows.py

bench-shadow: setup ## what a shadow costs the champion's answers, with a core that is free and with none
	@PYTHONPATH=scripts "$(BIN)/python" benchmarks/shadow_cost.py $(FLAGS)

bench-overload: setup ## five times the load that a service can answer: answered, refused, CPU of both (FLAGS="'a house'")
	@PYTHONPATH=scripts "$(BIN)/python" benchmarks/overload.py $(FLAGS)

bench-endurance: setup ## ten minutes of load on all services, while registries, disks and processes fail: nothing is lost
	@PYTHONPATH=scripts "$(BIN)/python" benchmarks/endurance.py $(FLAGS)

drift-power: setup ## false alarms of monitor's test and what it finds, on real houses, beside the usual rules
	@"$(BIN)/python" benchmarks/drift_power.py $(FLAGS)

sequence-power: setup ## how often a comparison decides wrongly if one looks all the time, and how soon it decides
	@"$(BIN)/python" benchmarks/sequence_power.py $(FLAGS)

drift-demo: setup-start ## a change of the world, its alarm, a new model and the way back, shown by what runs (PROJECT=housing)
	@"$(BIN)/python" scripts/drill.py "$(PROJECT)" $(FLAGS)

##@ Containers
.PHONY: docker-build compose-up compose-down compose-retrain compose-test upgrade-drill load-test image-budgets
# The commit is recorded in the images and in what they train; an address with a password in it is not.
COMPOSE := GIT_COMMIT=$$(git rev-parse HEAD 2>/dev/null || echo unknown) \
	CREATED=$$(git log -1 --format=%cI 2>/dev/null) \
	SOURCE="$${SOURCE:-$$(git config --get remote.origin.url 2>/dev/null | sed 's|//[^/]*@|//|')}" docker compose

docker-build: ## build every image
	@names=$$($(COMPOSE) config --services) || exit 1; \
		for name in $$(sort <<<"$$names"); do $(COMPOSE) build $$name || exit 1; done  # each build uses every core

compose-up: docker-build ## build what has changed and start everything; returns when it can be used (DATASET=auto|sample|full)
	@$(COMPOSE) up --detach
	@names=$$($(COMPOSE) config --services | grep -- -trainer) || exit 1; for name in $$names; do \
		test "$$(docker wait $$($(COMPOSE) ps --all --quiet $$name))" = 0 \
			|| { $(COMPOSE) logs --tail 20 $$name; echo "$$name failed: see above"; exit 1; }; \
	done
	@$(COMPOSE) up --no-recreate --detach --wait $$($(COMPOSE) config --services | grep -v -- -trainer)
	@for _ in 1 2 3 4 5; do $(COMPOSE) logs --no-log-prefix index | grep -o 'Ready\. .*' && exit; sleep 2; done; exit 1

compose-down: ## stop everything; what was trained stays (docker compose down -v removes that too)
	@$(COMPOSE) down

# What is no error: 0 passed, 2 too little feedback, 4 another one runs, 5 refused. With 1 docker ends if nothing ran.
compose-retrain: ## retrain every project in the stack that is up, one after the other (WHY=schedule|drift|hand)
	@failed=; for name in $(PROJECTS); do \
		$(COMPOSE) run --rm --no-TTY "$$name-retrain" retrain --why "$(or $(WHY),hand)" $(FLAGS); \
		case $$? in 0|2|4|5) ;; *) echo "$$name-retrain failed: see above"; failed=yes;; esac; \
	done; test -z "$$failed" || exit 1

compose-test: setup ## build, start, break and restart the containers on sample data (FLAGS=--beyond: pipeline, backup, Spark, a host too)
	@"$(BIN)/python" scripts/compose_test.py $(FLAGS)

upgrade-drill: setup ## start another commit's containers, then these on their volumes (FROM=HEAD~1)
	@"$(BIN)/python" scripts/compose_test.py --upgrade-from "$(or $(FROM),HEAD~1)"

load-test: setup ## 50 clients at once on each service of the stack that is up, two minutes each
	@PYTHONPATH=scripts "$(BIN)/python" benchmarks/load.py

image-budgets: ## check the sizes and contents of the built images
	@$(PYTHON) scripts/image_budgets.py

##@ Beyond one machine
.PHONY: bench-scale pipeline manifests host terraform
bench-scale: setup .state/spark/installed.lock ## films: read, ETL and fit of 1 to 100 million ratings; needs Java 17 (FLAGS="--rows 1000000")
	@PYTHONPATH=scripts:benchmarks "$(BIN)/python" benchmarks/recommender_scale.py $(FLAGS)

pipeline: setup .state/pipeline/installed.lock ## every project's data, training, gate and monitoring on a schedule, with a page, until Ctrl-C (DATASET=auto|sample|full|path)
	@exec "$(BIN)/python" scripts/run_pipeline.py --data "$(DATASET)" $(FLAGS)

manifests: setup-start .state/platform/installed.lock .state/policy/installed.lock ## render deploy/kubernetes and check it: schemas, policy
	@"$(BIN)/python" scripts/manifests.py $(FLAGS)

host: setup-start .state/host/installed.lock ## bring a Debian host to the state of deploy/host: engine, stack, unit, backup (HOST=name)
	@"$(BIN)/python" scripts/host.py "$(HOST)" $(FLAGS)

terraform: setup-start .state/platform/installed.lock ## check deploy/terraform as far as that goes without a provider
	@.state/platform/bin/python scripts/terraform_check.py $(FLAGS)

# Tools and engines that no other environment has: each of these locks is one environment.
.state/%/installed.lock: requirements/%.lock
	@"$(BIN)/uv" venv --quiet --clear --python "$(BIN)/python" ".state/$*"
	@"$(BIN)/uv" pip install --quiet --python ".state/$*/bin/python" --require-hashes -r $<
	@cp $< $@

##@ Make it yours
.PHONY: new-project rename
new-project: setup ## a project of your own (NAME=churn KIND=tabular|ranking|images, DATA=file.csv TARGET=column)
	@"$(BIN)/python" scripts/new_project.py "$(NAME)" "$(KIND)" $(if $(DATA),--data "$(DATA)") --target "$(TARGET)"
	@{ "$(BIN)/uv" pip install --quiet --python "$(BIN)/python" --no-deps --no-build-isolation -e "projects/$(NAME)" \
		&& "$(BIN)/$(NAME)" report --data full; } \
		|| { echo 'projects/$(NAME) is made. Once this is mended, it goes on: make setup && $(BIN)/$(NAME) report --data full' >&2 && exit 1; }

rename: ## give packages, images, license, badges and site your name (NAME=acme OWNER=jane-doe PERSON="Jane Doe")
	@$(PYTHON) scripts/rename.py "$(NAME)" "$(OWNER)" "$(PERSON)"

##@ Show it
.PHONY: docs demo clips
demo: setup-start ## build pages whose models run in the browser into build/demo; needs npm (FLAGS="--bundles FOLDER")
	@"$(BIN)/python" scripts/build_demo.py $(FLAGS)

clips: setup ## record each page in use and photograph it: projects/*/docs/clip.webp and page.png (FLAGS="housing")
	@"$(BIN)/python" scripts/clips.py $(FLAGS)

docs: setup-start .state/docs/installed.lock ## build the site of the documents into build/site; links that lead nowhere are errors
	@rm -rf build/docs
	@"$(BIN)/python" scripts/docs_openapi.py build/docs/http
	@.state/docs/bin/python scripts/docs_site.py $(FLAGS)

##@ Look after it
.PHONY: mlflow lock clean changed-projects
mlflow: setup-start ## MLflow's own page, until Ctrl-C
	@exec "$(BIN)/python" scripts/mlflow_server.py

lock: setup ## compile requirements/*.lock anew from the pyproject files
	@"$(BIN)/python" scripts/lock.py

changed-projects: ## for the workflow: which projects differ from the commit BASE
	@$(PYTHON) scripts/changed_projects.py "$(BASE)"

clean: ## remove environments and everything that was made, but the downloaded data
	rm -rf "$(VENV)" .venv*/ .state .coverage* htmlcov dist build *.egg-info .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -prune -exec rm -rf {} +
