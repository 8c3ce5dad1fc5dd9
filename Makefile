# The only vocabulary of this project: people, hooks and CI call these words, so a check has one definition.
# Needs Python 3.11 or later; the environment (.venv) is made at the first use. GNU Make 3.81 (macOS) is enough.

.DEFAULT_GOAL := help
.NOTPARALLEL:
SHELL := /bin/sh
PY := .venv/bin/python

# More arguments for the command behind a word, e.g.  make test ARGS="-k seats"
ARGS ?=
# Test files at once, each process with a PostgreSQL of its own; 0 for one after the other, e.g. with a debugger
WORKERS ?= 2
# Another port than 8080, e.g.  make run PORT=8081  and then  make demo PORT=8081
PORT ?=
# With the invented region in the containers too:  make up DEMO=1
DEMO ?=
WITH_DEMO := $(filter 1 yes true,$(DEMO))
# Whose token `make token` makes, e.g.  make token AGENCY=kagoshima-desk
AGENCY ?=

##@ 使う / Use

help: ## この一覧を表示 / show this list
	@awk 'BEGIN {FS = ":.*## "} /^##@ / {printf "\n%s\n", substr($$0, 5)} \
	     /^[a-z][a-z-]*:.*## / {printf "  make %-11s %s\n", $$1, $$2}' Makefile
	@echo

run: environment-run ## 全サービスを一つのプロセスで起動 / start everything in one process, with a demonstration region
	@exec $(PY) all_in_one.py run $(if $(PORT),--port $(PORT)) $(ARGS)

demo: environment-run ## 主な仕事を目の前で演じる / play the main job before your eyes (make run in another terminal first)
	@$(PY) -m demo $(if $(PORT),--url http://127.0.0.1:$(PORT)) $(ARGS)

token: environment-run ## 試すためのトークンを表示 / print a token of an agency: make token AGENCY=...
	@test -n "$(AGENCY)" || { echo "機関を指定してください / Name the agency:  make token AGENCY=..." >&2; exit 2; }
	@$(PY) all_in_one.py token --agency "$(AGENCY)" $(if $(PORT),--port $(PORT)) $(ARGS)

migrate: environment-run ## データベースを今の版に上げる / bring every schema of the database up to date
	@$(PY) all_in_one.py migrate $(ARGS)

up: $(if $(WITH_DEMO),environment-run) ## Docker Compose で起動 / start one container per service; with the invented region: make up DEMO=1
	$(if $(PORT),TSUNAGU_PORT=$(PORT) )$(if $(WITH_DEMO),$(DEMO_CLIENTS) )docker compose \
	  $(if $(WITH_DEMO),-f docker-compose.yml -f docker-compose.demo.yml )up --wait $(ARGS)

down: ## Docker Compose を停止 / stop the containers; their data stays
	docker compose down $(ARGS)

##@ 開発する / Develop

test: environment-dev ## すべての試験 / every test, on a real PostgreSQL; on a real Kafka too after make kafka
	@kafka=$${KAFKA_BOOTSTRAP_SERVERS:-$$(ops/kafka/run.sh status 2>/dev/null)}; \
	if [ -n "$$kafka" ]; then export KAFKA_BOOTSTRAP_SERVERS="$$kafka"; fi; \
	exec $(PY) -m pytest -n $(WORKERS) --dist loadfile $(ARGS)

test-seats: environment-dev ## 席の申込み5万件、止められながら / 50,000 attempts at seats while services are killed
	SEATS=50000 exec $(PY) -m pytest -s tests/e2e/test_seats_killed.py $(ARGS)

test-night: environment-dev ## 大きな規模での試験(数時間) / the tests that can be larger, in nightly size (several hours)
	@kafka=$${KAFKA_BOOTSTRAP_SERVERS:-$$(ops/kafka/run.sh status 2>/dev/null)}; \
	if [ -n "$$kafka" ]; then export KAFKA_BOOTSTRAP_SERVERS="$$kafka"; fi; \
	export REFERRALS=10000 REFERRAL_ROUNDS=1000 BROKER_AWAY=600 SEATS=1000000 WHOLE=500; \
	exec $(PY) -m pytest -s tests/e2e/test_referrals_killed.py tests/e2e/test_outages.py \
		tests/service/test_referral_races.py tests/e2e/test_seats_killed.py \
		tests/service/test_training_whole_machine.py $(ARGS)

lint: environment-dev ## 書式・規則・型・依存の向き / format, rules, types, direction of imports
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	$(PY) -m mypy
	PYTHONPATH=. .venv/bin/lint-imports

format: environment-dev ## 書式を整える / put the code in order
	$(PY) -m ruff check --fix-only --quiet .
	$(PY) -m ruff format .

kafka: ## 本物の Kafka を一台で起動 / start a real single-node Apache Kafka (Java 17, no Docker)
	@ops/kafka/run.sh start

kafka-stop: ## その Kafka を停止 / stop that Kafka
	@ops/kafka/run.sh stop

contracts: environment-run ## イベントの型を書き出す / write the event schemas, AsyncAPI and OpenAPI; the diff is the review
	@$(PY) all_in_one.py contracts --write $(ARGS)

bench: environment-dev ## 速さを比率で測る / measure the speed, as ratios
	@$(PY) -m bench $(ARGS)

pins: ## 部品の版を固定し直す / pin the packages anew from requirements/*.in (needs uv)
	$(COMPILE) requirements/dev.in -o requirements/dev.txt $(ARGS)
	$(COMPILE) requirements/run.in -o requirements/run.txt -c requirements/dev.txt $(ARGS)
	$(COMPILE) requirements/service.in -o requirements/service.txt -c requirements/dev.txt $(ARGS)

clean-data: ## 手元のデータを消して最初からに / delete the data of make run and start afresh
	@test ! -e .tsunagu/pg18/data/postmaster.pid || { \
	  echo "先に止めてください (Ctrl+C)。電源断などのあとなら、make run のあと Ctrl+C" >&2; \
	  echo "Stop it first (Ctrl+C). After a power cut: make run, then Ctrl+C" >&2; exit 2; }
	rm -rf .tsunagu/pg18 .tsunagu/issuer .tsunagu/clients

clean: ## 環境と一時ファイルを消す / remove the environment and caches; data stays
	rm -rf .venv build .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# ------------------------------------------------------------------------------------------------ the environment
# bootstrap.py looks at the pinned list itself and is done in a blink when nothing changed.

environment-run:
	@$(FIND_PYTHON) && exec "$$python" -I ops/bootstrap.py run

environment-dev:
	@$(FIND_PYTHON) && exec "$$python" -I ops/bootstrap.py dev

# Public keys alone; the private ones stay in .tsunagu/clients.
DEMO_CLIENTS = TSUNAGU_ISSUER_CLIENTS="$$($(PY) -m demo.registration)"

# One list for every system and every Python from 3.11 on; no address of a server in it, so any mirror serves.
COMPILE = uv pip compile --quiet --generate-hashes --universal --python-version 3.11 --no-emit-index-url --no-header

# A name on the PATH proves nothing (pyenv's shims answer for Pythons that are not there), so each is tried, and one that
# can make an environment is preferred. PYTHON=... goes first when it is given.
FIND_PYTHON = python=; \
  for needed in 'sys, ensurepip, venv' sys; do \
    for candidate in $(PYTHON) $(PY) python3.13 python3.12 python3.11 python3.14 python3 python; do \
      "$$candidate" -c "import $$needed; sys.exit(sys.version_info < (3, 11))" >/dev/null 2>&1 || continue; \
      python=$$candidate; break 2; \
    done; \
  done; \
  test -n "$$python" || { \
    echo 'Python 3.11 以上が見つかりません。入れてから、もう一度同じコマンドを実行してください。' >&2; \
    echo '  今ある Python / what is here: '"$$(python3 --version 2>&1 || echo '-')" >&2; \
    echo '  Debian / Ubuntu: sudo apt install python3 python3-venv      macOS: brew install python@3.13' >&2; \
    echo 'No Python 3.11 or later was found. Install one, then give the same command again;' >&2; \
    echo 'if it has a place of its own, name it:  make run PYTHON=/path/to/python3' >&2; \
    exit 1; }

.PHONY: help run demo token migrate up down test test-seats test-night lint format kafka kafka-stop contracts bench pins clean clean-data \
        environment-run environment-dev
