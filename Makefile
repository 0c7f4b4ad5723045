# quickstart and test do everything from a fresh clone; they need python3 and make.
PYTHON ?= python3
BIN := .venv/bin
export DATAGEN_SHARED ?= $(abspath ../shared)
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: quickstart test check soak bench clean

quickstart: .venv/ready
	@rm -rf out/quickstart
	$(BIN)/datagen build --spec rationale.yaml --out out/quickstart --teacher simulator

test: .venv/ready .venv/duckdb14/ready
	DATAGEN_DUCKDB14=$(abspath .venv/duckdb14/bin/python) $(BIN)/python -m pytest tests -m "not soak" -n 2 --dist loadfile --no-loadscope-reorder

check: .venv/ready
	$(BIN)/ruff format --check datagen tests
	$(BIN)/ruff check datagen tests
	$(BIN)/mypy
	$(BIN)/python -m pytest tests/test_house.py

soak: .venv/ready
	$(BIN)/python -m pytest tests -m soak -s

bench: .venv/ready
	$(BIN)/python tests/benchmarks/run.py

.venv/ready: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable ".[dev]"
	touch $@

# an older client must read what we write
.venv/duckdb14/ready: .venv/ready
	test -x .venv/duckdb14/bin/python || $(PYTHON) -m venv .venv/duckdb14
	.venv/duckdb14/bin/python -m pip install --quiet "duckdb==1.4.*"
	touch $@

clean:
	rm -rf .venv out
