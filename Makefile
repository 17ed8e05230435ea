# The only commands a newcomer needs; `make` alone lists them.
PROFILE ?= fast
CORES   ?= $(shell getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)
# For training the model that cleans pages: what earlier runs took counts.
MINUTES ?= 120
# What all chapters may take together, in MB; empty: what the machine has, less a reserve.
MEMORY  ?=
# Whether `make results` shall also run what takes more than twenty minutes a seed.
LONG    ?= no
# For workflows: extra requirements (such as another TensorFlow), and what pins the rest.
EXTRA       ?=
CONSTRAINTS ?= -c constraints.txt

PIP     := .venv/bin/python -m pip --disable-pip-version-check install --quiet
PY      := .venv/bin/python
BOOK    := .venv/installed-book
TESTS   := .venv/installed-tests
# Every file of the book is UTF-8, whatever the terminal speaks.
export PYTHONUTF8 := 1
# Ctrl-C ends what runs, kernels included, and says in one line how to go on.
LONG_RUN = $(PY) book/tools/child.py 'make $@'
PYTEST   = $(LONG_RUN) -- $(PY) -m pytest -n 2 --dist loadfile --nbval --nbval-current-env --nbval-sanitize-with tests/nbval.cfg \
           --nbval-cell-timeout 7200 --nbval-kernel-startup-timeout 600
# One chapter more at a time than there are cores: while one reads or draws, the others compute.
BUILD    = $(PY) book/tools/build.py --data --profile '$(PROFILE)' --cores $$(( $(CORES) + 1 )) \
           $(if $(MEMORY),--memory $(MEMORY))

.PHONY: help book test lab serve clean run chapters gpu backends bench results nbval site links tidy address cleaner
help:
	@echo 'make book     run the chapters and build the site   (PROFILE=full: real data at full size)'
	@echo 'make test     test the package, the notebooks and the site'
	@echo 'make lab      open the chapters in JupyterLab'
	@echo 'make serve    show the built site in a browser'
	@echo 'make clean    remove what was built                 (.venv stays)'
	@echo
	@echo 'For authors:  make chapters [ONLY=notebooks/02_vanilla.ipynb] · tidy · address · links · cleaner [MINUTES=120]'
	@echo '              backends (the models on JAX)'
	@echo 'For hours, and they go on where they were stopped:  bench (speed beside the sources) · results [LONG=yes] (published'
	@echo '              numbers beside ours)'

book: $(BOOK)
	@$(BUILD) site
	@echo 'read it:  make serve$(if $(filter-out fast,$(PROFILE)), PROFILE=$(PROFILE))'

test: $(TESTS)
	@$(PYTEST) --cov=aebook --cov-fail-under=95 tests notebooks

lab: $(BOOK)
	@.venv/bin/jupyter lab notebooks

serve: $(BOOK)
	@$(PY) book/tools/serve.py _build/$(PROFILE)/html

clean:
	rm -rf _build .snakemake

# ---- for authors and workflows

run: $(BOOK)
	@$(BUILD) chapters

site: $(BOOK)
	@$(PY) book/tools/stage.py --profile $(PROFILE)

chapters: $(BOOK)
	@$(PY) book/tools/notebooks.py run $(ONLY)

gpu: $(BOOK)
	@$(PY) -c "import sys, tensorflow as tf; tf.config.list_physical_devices('GPU') or sys.exit('TensorFlow lists no GPU')"
	@$(MAKE) run PROFILE=full

# The models on JAX, which only this target installs, beside .venv and not into it.
JAX := _build/jax
backends: $(TESTS)
	@$(PIP) --no-deps --upgrade --target $(JAX) jax jaxlib
	@KERAS_BACKEND=jax PYTHONPATH=$(JAX) $(PYTEST) -m 'not tensorflow' $(foreach part,models layers losses metrics \
	    sparsity train vae,tests/test_$(part).py)

bench: $(TESTS)
	@$(PY) benchmarks/speed.py
	@$(PY) benchmarks/limit.py
	@test -e benchmarks/results/formats.json || $(PY) benchmarks/formats.py
	@test -e benchmarks/results/growth.json || $(PY) benchmarks/growth.py
	@test -e benchmarks/results/book.json || $(PY) benchmarks/book.py

results: $(TESTS)
	@$(LONG_RUN) -- $(PY) -m snakemake --snakefile benchmarks/results.smk --cores $(CORES) --keep-going --quiet rules --nolock \
	    --rerun-incomplete --rerun-triggers mtime --config long=$(LONG) -- results

nbval: $(TESTS)
	@$(PYTEST) -k ipynb tests notebooks

cleaner: $(BOOK)
	@$(PY) book/tools/cleaner.py --minutes $(MINUTES)

links: $(BOOK)
	@$(PY) book/tools/stage.py --profile committed
	@.venv/bin/jupyter-book build -q --builder linkcheck --path-output _build/links _build/committed/site

tidy: $(BOOK)
	@$(PY) book/tools/notebooks.py tidy

address: $(BOOK)
	@$(PY) book/tools/notebooks.py address

# ---- the environment

# opencv-python links libGL, which slim machines and containers lack; its headless build serves pyimgaug as well.
$(BOOK): requirements.txt constraints.txt pyproject.toml | .venv/bin/python
	@echo 'installing into .venv (about 1.5 GB, some minutes, once)'
	@$(PIP) $(CONSTRAINTS) -r requirements.txt $(EXTRA)
	@$(PY) -m pip --disable-pip-version-check uninstall --quiet --yes opencv-python
	@$(PIP) $(CONSTRAINTS) --no-deps --force-reinstall opencv-python-headless
	@$(PIP) --no-deps --editable .
	@touch $@

$(TESTS): $(BOOK) requirements-dev.txt
	@$(PIP) $(CONSTRAINTS) -r requirements-dev.txt
	@touch $@

.venv/bin/python:
	@sh book/tools/venv.sh
