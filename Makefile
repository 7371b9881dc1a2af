# Everything runs in .venv, which is made from requirements.lock when it is missing or older.
SHELL := /bin/bash
PY := .venv/bin/python
BIN := .venv/bin
export PATH := $(CURDIR)/.venv/bin:$(PATH)

.PHONY: $(shell sed -nE 's/^([a-z-]+):.*/\1/p' $(firstword $(MAKEFILE_LIST))) # no target is a file
help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 16

.venv/.ready: requirements.lock pyproject.toml
	python3 -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --no-compile --no-deps -r requirements.lock
	$(PY) -m compileall -qq -j 0 .venv/lib || true # on all cores; some packages bring files in another Python's syntax
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

.venv/.classes: .venv/.ready pipelines/spark/class_archive.py
	$(PY) -m pipelines.spark.class_archive 2>/dev/null || echo "no archive of Spark's classes: each stage starts some seconds later"
	touch $@

demo: .venv/.classes ## the whole road on real data, then a ranking and a report (DATASET=kuairand-pure for the other log)
	$(if $(DATASET),$(BIN)/gatehouse use $(DATASET))
	$(BIN)/gatehouse demo

# Two at a time, files whole, for their servers and JVMs are shared within one, and the longest are not the last.
# Airflow's wait more than they work: they run beside, and are printed at the end.
test: .venv/.classes ## all tests
	@airflow=$$(mktemp); trap 'kill $$! 2>/dev/null; rm -f $$airflow' EXIT; \
	$(BIN)/pytest -m airflow >$$airflow 2>&1 & \
	$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not airflow"; others=$$?; \
	wait $$!; status=$$?; cat $$airflow; exit $$((others || status))

test-quick: .venv/.ready ## the tests that take seconds
	$(BIN)/pytest -n 2 --dist loadfile -m "not slow and not spark and not airflow and not e2e"

soak: .venv/.ready ## serve under load while day and model change, for MINUTES=30
	$(PY) -m benchmarks.soak --minutes $(or $(MINUTES),30)

chaos: .venv/.ready ## break it on purpose and print the table of faults (SEED=7 N=20; long)
	$(PY) -m tests.chaos --seed $(or $(SEED),7) --injections $(or $(N),20) $(if $(INTO),--into $(INTO))

lint: .venv/.ready ## ruff, mypy --strict and the import layering
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: .venv/.ready ## let ruff put the code in order
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

docs: .venv/.ready ## write docs/features.md from the declarations, docs/openapi.json from the service
	$(PY) -m features.compile.page > docs/features.md
	$(PY) -m features.serving.service > docs/openapi.json

serve: .venv/.ready ## lookups and rankings over HTTP on loopback, of what the demo built
	$(BIN)/gatehouse serve

airflow: .venv/.ready ## a standalone Airflow on loopback with the DAGs, ready to trigger
	$(PY) -m infra.airflow.standalone

airflow-cluster: .venv/.ready ## Airflow with Celery workers, Postgres and a broker on loopback (GPUS=0,1 for a worker per GPU)
	$(PY) -m infra.airflow.cluster $(if $(GPUS),--gpus $(GPUS))

spark-cluster: .venv/.ready ## a Spark master and two workers on loopback, to point GATEHOUSE_SPARK_MASTER at
	$(PY) -m infra.spark.cluster

infra-tools: .venv/.ready ## promtool, helm and docker-compose into .tools, for the tests of infra/
	infra/tools/fetch

bench-lookup: .venv/.ready ## online lookups beside Feast's and the bare store
	$(PY) -m benchmarks.lookup

bench-materialize: .venv/.ready ## filling the online store beside Feast's engine and layout
	$(PY) -m benchmarks.materialize

bench-layouts: .venv/.ready ## how the rows of a key can lie in Valkey: what reading and keeping them costs
	$(PY) -m benchmarks.layouts

bench-consistency: .venv/.ready ## logging an answer, and looking a day of them up again offline
	$(PY) -m benchmarks.consistency

bench-pit: .venv/.ready ## both engines of the offline store beside Feast's own stores and plain DuckDB
	$(PY) -m benchmarks.pit

bench-scale: .venv/.ready ## a day of a log of 100 million events, and every stage on growing logs (long, 10 GB)
	$(PY) -m benchmarks.scale

bench-train: .venv/.ready ## training beside the same networks fed from memory, and beside torch-rechub
	OMP_WAIT_POLICY=passive $(PY) -m benchmarks.train

bench-rank: .venv/.ready ## ranking 500 items for a user: what each part costs, for every model
	$(PY) -m benchmarks.rank

lock: ## resolve requirements.in anew into requirements.lock
	rm -rf .lock-venv && python3 -m venv .lock-venv
	.lock-venv/bin/pip install --quiet -r requirements.in
	.lock-venv/bin/pip freeze --all --exclude-editable | grep -v '^pip==' | sed 's/+cpu$$//' > requirements.lock
	rm -rf .lock-venv
	$(MAKE) sbom

sbom: ## write docs/sbom.json, the lock as CycloneDX, which scanners of known weaknesses read
	rm -rf .sbom-venv && python3 -m venv .sbom-venv
	.sbom-venv/bin/pip install --quiet --disable-pip-version-check cyclonedx-bom==7.5.0
	.sbom-venv/bin/cyclonedx-py requirements --output-reproducible --output-file docs/sbom.json requirements.lock
	rm -rf .sbom-venv

clean: ## remove everything the road wrote; downloads in raw/ stay
	rm -rf lake feast models evaluation promotion registry reports runs airflow .dvc/cache .dvc/tmp dvc.lock
