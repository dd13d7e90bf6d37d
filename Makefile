# Everything that is done to Portico from a terminal. `make help` lists it.

SHELL := /bin/sh
PYTHON ?= $(firstword $(foreach python,python3 python3.14 python3.13 python3.12 python3.11,\
	$(shell $(python) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $(python))))
VENV := .venv
BIN := $(VENV)/bin
INSTALL := -m pip install --quiet --disable-pip-version-check --require-hashes

.DEFAULT_GOAL := help
.PHONY: help run test check secrets bench lock clean

help: ## Show what there is
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/\1|\2/p' $(MAKEFILE_LIST) | while IFS='|' read -r name says; do \
		printf '  make %-8s %s\n' "$$name" "$$says"; done

run: $(VENV)/.installed .venv-sample/.installed ## Set up and start everything (ARGS=--migrate applies migrations to a database of your own)
	@PORTAL_UPSTREAM_LOOPBACK=$${PORTAL_UPSTREAM_LOOPBACK-1} exec $(BIN)/python -m portal.run $(ARGS)

test: $(VENV)/.installed-tests .venv-sample/.installed ## Set up and run every check and test (SLOW=1 adds the long ones, ARGS=… goes to pytest)
	@$(MAKE) --no-print-directory check
	@$(PYTEST) --numprocesses auto --dist worksteal || { test $$? -eq 1 && \
		echo "What failed runs once more, one test at a time: real Envoys share the cores of a small machine." && \
		$(PYTEST) --last-failed --last-failed-no-failures none; }

PYTEST = $(BIN)/python -m pytest $(if $(SLOW),--hypothesis-profile search,-m "not slow") $(ARGS)

check: $(VENV)/.installed-tests ## Lint, formatting, types and secrets
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(MAKE) --no-print-directory secrets

# What looks like a secret in the sources. Not looked at: what others made and the locks, which are full of hashes. No
# secrets are: an alphabet; the names of templates, of a field and of a part of addresses; users of addresses that show how
# to write one; the first line of a private key, alone; public keys of an issuer, and the name under which Envoy knows it.
# In tests every password is one that a test chose, so there the word alone says nothing.
SOURCES := git ls-files -z -- ':!static/vendor' ':!tests/specs' ':!*requirements.txt' ':!*.png' ':!*.svg'
SCAN := xargs -0 $(BIN)/detect-secrets-hook --exclude-lines '_ALPHABET = |SECURITY_[A-Z_]+_TEMPLATE|//(u:hidden|user:(word|password))@|BEGIN (ENCRYPTED )?PRIVATE KEY-----[^A-Za-z]|"upstream.credential.secret"|"secret": "Name of the secret."|kty.":."EC|"token": "[0-9a-f]{16}"'
secrets: $(VENV)/.installed-tests
	@if git rev-parse --git-dir >/dev/null 2>&1; then \
		$(SOURCES) ':!tests' | $(SCAN) && $(SOURCES) tests | $(SCAN) --disable-plugin KeywordDetector && \
		! git grep --line-number --extended-regexp 'p(c[oc]|pt)_[0-9A-Za-z]{12}_[0-9A-Za-z]{33}'; \
	else echo "This is no git checkout: secrets were not looked for."; fi

bench: $(VENV)/.installed-tests ## Measure (ONLY=name): a table and bench/results.json
	@ONLY="$(ONLY)" $(BIN)/python -m bench

lock: $(VENV)/.installed-tests ## Resolve the direct dependencies anew into the locked requirements
	@for pair in deploy/requirements.in:requirements.txt tests/requirements.in:tests/requirements.txt \
			deploy/sample.in:deploy/sample-requirements.txt; do \
		$(BIN)/uv pip compile "$${pair%%:*}" --output-file "$${pair##*:}" --upgrade --quiet --generate-hashes --universal \
			--python-version 3.11 --custom-compile-command "make lock" || exit 1; \
	done

clean: ## Remove what was installed and what caches hold; the data in var/ stays
	rm -rf $(VENV) .venv-sample .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find portal tests bench migrations -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp is newer than the lock that was installed, so that a second run installs nothing.
$(VENV)/.installed: requirements.txt | $(VENV)/bin/python
	@echo "Installing Portico into $(VENV) …"
	@$(BIN)/python $(INSTALL) --requirement requirements.txt
	@touch $@

$(VENV)/.installed-tests: tests/requirements.txt | $(VENV)/bin/python
	@echo "Installing Portico and its test tools into $(VENV) …"
	@$(BIN)/python $(INSTALL) --requirement tests/requirements.txt
	@touch $@

.venv-sample/.installed: deploy/sample-requirements.txt | .venv-sample/bin/python
	@echo "Installing the sample upstream into .venv-sample …"
	@.venv-sample/bin/python $(INSTALL) --requirement deploy/sample-requirements.txt
	@touch $@

$(VENV)/bin/python .venv-sample/bin/python:
	@test -n "$(PYTHON)" || { echo "Portico needs Python 3.11 or newer. python3 here is $$(python3 --version 2>&1). \
	Install a newer one, or name it: make run PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Portico needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1)." >&2; exit 1; }
	@echo "Making $(@D:/bin=) …"
	@$(PYTHON) -m venv $(@D:/bin=)
