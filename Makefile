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
PYTEST   = $(LONG_RUN) -- $(PY) -m pytest -n 2 --dist loadfile -o console_output_style=classic --nbval --nbval-current-env \
           --nbval-sanitize-with tests/nbval.cfg --nbval-cell-timeout 7200 --nbval-kernel-startup-timeout 600
# One chapter more at a time than there are cores: while one reads or draws, the others compute.
BUILD    = $(PY) book/tools/build.py --data --profile '$(PROFILE)' --cores $$(( $(CORES) + 1 )) \
           $(if $(MEMORY),--memory $(MEMORY))

.PHONY: help book test lab serve clean run chapters gpu backends bench results nbval site links tidy address cleaner versions \
    package always
help:
	@echo 'make book     run the chapters and build the site   (PROFILE=full: real data at full size)'
	@echo 'make test     test the package, the notebooks and the site'
	@echo 'make lab      open the chapters in JupyterLab'
	@echo 'make serve    show the built site in a browser'
	@echo 'make clean    remove what was built                 (.venv stays)'
	@echo
	@echo 'For authors:  make chapters [ONLY=notebooks/02_vanilla.ipynb] · tidy · address · links · cleaner [MINUTES=120]'
	@echo '              backends (the models on JAX) · package [ONLY=02_vanilla] (the tests of the package alone)'
	@echo '              versions SET=lowest|newest|colab (those declared, each in an environment of its own, 2 to 4 GB)'
	@echo 'For hours, and they go on where they were stopped:  bench (speed beside the sources) · results [LONG=yes] (published'
	@echo '              numbers beside ours)'

book: $(BOOK)
	@$(BUILD) site
	@echo 'read it:  make serve$(if $(filter-out fast,$(PROFILE)), PROFILE=$(PROFILE))'

test: $(TESTS)
	@$(PYTEST) --cov=aebook --cov-fail-under=95 tests notebooks

lab: $(BOOK)
	@$(PY) book/tools/lab.py

serve: $(BOOK)
	@$(PY) book/tools/serve.py '_build/$(PROFILE)/html'

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
	@$(PY) -c 'from jupyter_book.cli.main import main; main()' build -q --builder linkcheck --path-output _build/links _build/committed/site

# The package's tests alone, and chapters by name: for systems that have no Chromium, no time, or no make (see README).
package: $(TESTS)
	@$(PY) book/tools/versions.py installed --only $(ONLY)

# Declared versions, tried: the lowest, the newest, or those of Colab's image, in an environment of their own.
SETS     := lowest newest colab
PYTHONS_lowest := python3.11 python3.12 python3.13 python3
PYTHONS_newest := python3.13 python3.12 python3.11 python3
PYTHONS_colab  := $(PYTHONS_newest)
versions:
	@test -n '$(filter $(SET),$(SETS))' || { echo 'which versions?  make versions SET=lowest, SET=newest or SET=colab' >&2; exit 2; }
	@mkdir -p _build/versions
	@sh book/tools/venv.sh '_build/versions/$(SET)' $(PYTHONS_$(SET))
	@'_build/versions/$(SET)/bin/python' book/tools/versions.py '$(SET)' $(if $(ONLY),--only $(ONLY))

tidy: $(BOOK)
	@$(PY) book/tools/notebooks.py tidy

address: $(BOOK)
	@$(PY) book/tools/notebooks.py address

# ---- the environment

# Looked at every time, which takes a moment: a stamp within .venv says whether there is anything to install or to mend.
$(BOOK) $(TESTS): always
	@sh book/tools/venv.sh
	@$(PY) book/tools/install.py $(@:.venv/installed-%=%) $(CONSTRAINTS) $(foreach word,$(EXTRA),--extra '$(word)')
