# Two commands do everything: `make demo` and `make test`. Each installs what it needs, once.
PYTHON ?= python3
VENV   ?= .venv
PY     := $(VENV)/bin/python
CLIPS  ?= tests/standin/clips
# Many tests wait rather than compute: more workers than cores end sooner. JOBS=0 runs all tests in one process.
JOBS    ?= 4
MINUTES ?= 60

.PHONY: help install demo test check bench soak clean
help:  ## this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

install: $(VENV)/.run  ## create .venv with what the toolkit needs

demo: $(VENV)/.run  ## collect a dataset from a Twitch on this machine, train on it, recognise channels it never saw
	$(PY) -m tests.demo

test: $(VENV)/.dev  ## every test, on real PostgreSQL, Streamlink, H.264, Keras and ONNX Runtime
	$(PY) -m pytest -n $(JOBS) --dist loadgroup --no-loadscope-reorder

check: $(VENV)/.dev  ## formatting, lint, types
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	$(PY) -m mypy

bench: $(VENV)/.dev  ## each claimed number, ours and the alternative in turn (ONLY=name for one)
	$(PY) -m benchmarks $(ONLY)

soak: $(VENV)/.dev  ## the long forms of short tests: kills at random moments, then a download with faults (MINUTES=60)
	$(PY) -m benchmarks.kills
	$(PY) -m benchmarks.soak --minutes $(MINUTES)

clean:  ## remove the virtual environment, what was built and what `make demo` made
	rm -rf $(VENV) demo build dist .pytest_cache .mypy_cache .ruff_cache

# The virtual environment is made anew when the pins change, and only then.
$(PY):
	$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 14) and "Python 3.10 to 3.13 is needed, not %d.%d" % sys.version_info[:2])'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: requirements.txt | $(PY)
	$(PY) -m pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@

$(VENV)/.dev: requirements.txt requirements-dev.txt | $(PY)
	$(PY) -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	touch $@ $(VENV)/.run
