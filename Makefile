# Every target stands with its help behind "##"; `make` alone prints them.
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.complete

.PHONY: help venv train model app test lint docs notebooks clean

help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# The stamp is written last: without it, or where its Python no longer runs, the environment is made anew.
venv:  ## Make .venv from requirements.lock (quick when nothing changed; repairs a half-made one)
	@if ! { [ -f $(STAMP) ] && $(BIN)/python -c "import torch, lightning, cardpose" 2>/dev/null; }; then \
	  rm -rf $(VENV) && $(PYTHON) -m venv $(VENV); fi
	@$(MAKE) --no-print-directory $(STAMP)

$(STAMP): requirements.lock pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

train: venv  ## Train experiment=baseline on the embedded synthetic footage
	$(BIN)/python -m cardpose.train experiment=baseline

# First any table, then others of any table and packets filmed as for counting, in turn.
ANY_TABLE := data.read.footage.second=null
BOTH := data.root=outputs/synthetic_both render.seed=3 render.clips=15600 optim.lr=0.002 trainer.max_epochs=2
MORE := data.root=outputs/synthetic_more render.seed=5 render.clips=16000 trainer.max_epochs=1
# Then others again.
LAST := data.root=outputs/synthetic_last render.seed=6 render.clips=6000 optim.lr=0.002 trainer.max_epochs=3
AGAIN := data.root=outputs/synthetic_again render.seed=8 render.clips=10000 optim.lr=0.002
ONCE_MORE := data.root=outputs/synthetic_once_more render.seed=9 render.clips=10000
SEVENTH := data.root=outputs/synthetic_seventh render.seed=10 render.clips=20000 scene.packet.absent=0.12
# The last stage of packet starts from the mean of two runs, which is the released packet until that stage is released.
model: venv  ## Train the released models packet and packet-fast again (hours; see docs/models.md)
	$(BIN)/python -m cardpose.train experiment=packet $(ANY_TABLE) hydra.run.dir=outputs/packet_first
	$(BIN)/python -m cardpose.train experiment=packet_fast $(ANY_TABLE) hydra.run.dir=outputs/packet_fast_first
	$(BIN)/python -m cardpose.train experiment=packet init_from=outputs/packet_first $(BOTH) \
	  +trainer.limit_train_batches=0.75 hydra.run.dir=outputs/packet_second
	$(BIN)/python -m cardpose.train experiment=packet_fast init_from=outputs/packet_fast_first $(BOTH) \
	  hydra.run.dir=outputs/packet_fast_second
	$(BIN)/python -m cardpose.train experiment=packet init_from=outputs/packet_second $(MORE) optim.lr=0.0015 \
	  +trainer.limit_train_batches=0.75 hydra.run.dir=outputs/packet_third
	$(BIN)/python -m cardpose.train experiment=packet_fast init_from=outputs/packet_fast_second $(MORE) optim.lr=0.002 \
	  +trainer.limit_train_batches=0.9 hydra.run.dir=outputs/packet_fast_third
	$(BIN)/python -m cardpose.train experiment=packet init_from=outputs/packet_third $(LAST) \
	  hydra.run.dir=outputs/packet_fourth
	$(BIN)/python -m cardpose.train experiment=packet_fast init_from=outputs/packet_fast_third $(LAST) \
	  hydra.run.dir=outputs/packet_fast_fourth
	$(BIN)/python -m cardpose.train experiment=packet init_from=outputs/packet_fourth $(AGAIN) trainer.max_epochs=3 \
	  hydra.run.dir=outputs/packet_fifth
	$(BIN)/python -m cardpose.train experiment=packet_fast init_from=outputs/packet_fast_fourth $(AGAIN) \
	  trainer.max_epochs=5 hydra.run.dir=outputs/packet_fast_fifth
	$(BIN)/python -m cardpose.train experiment=packet init_from=outputs/packet_fifth $(ONCE_MORE) optim.lr=0.001 \
	  trainer.max_epochs=1 hydra.run.dir=outputs/packet_sixth
	$(BIN)/python -m cardpose.train experiment=packet_fast init_from=outputs/packet_fast_fifth $(ONCE_MORE) optim.lr=0.002 \
	  trainer.max_epochs=4 hydra.run.dir=outputs/packet_fast_sixth
	$(BIN)/python -m cardpose.train experiment=packet_fast init_from=outputs/packet_fast_sixth $(SEVENTH) optim.lr=0.002 \
	  trainer.max_epochs=4 hydra.run.dir=outputs/packet_fast_seventh
	$(BIN)/python -m cardpose.train experiment=packet_fast init_from=outputs/packet_fast_seventh $(SEVENTH) optim.lr=0.002 \
	  trainer.max_epochs=4 loss.cards=0.1 loss.visibility=0.1 hydra.run.dir=outputs/packet_fast_eighth
	$(BIN)/python -m cardpose.deploy.release outputs/packet_fifth,outputs/packet_sixth packet
	$(BIN)/python -m cardpose.train experiment=packet init_from=packet $(SEVENTH) loss.cards=0.1 loss.visibility=0.1 \
	  optim.lr=0.001 trainer.max_epochs=1 +trainer.limit_train_batches=0.7 hydra.run.dir=outputs/packet_eighth

# Of each npm package only the files that the page loads; package-lock.json pins them.
ORT := ort.wasm.min.mjs ort-wasm-simd-threaded.mjs ort-wasm-simd-threaded.wasm \
  ort.webgpu.min.mjs ort-wasm-simd-threaded.asyncify.mjs ort-wasm-simd-threaded.asyncify.wasm
RUNTIME := cardpose/app/vendor/$(lastword $(ORT))
app:  ## Copy ONNX Runtime Web from npm for the page of `cardpose app`
	cd cardpose/app && npm ci --ignore-scripts --no-audit --no-fund && mkdir -p vendor && \
	  cp $(addprefix node_modules/onnxruntime-web/dist/,$(ORT)) vendor/ && rm -rf node_modules

test: venv  ## Run the whole test suite; with npm there, the page's too
	@[ -f $(RUNTIME) ] || ! command -v npm >/dev/null || $(MAKE) --no-print-directory app || \
	  echo "npm could not fetch ONNX Runtime Web: tests of the page are skipped"
	$(BIN)/python -m pytest -n auto

lint: venv  ## Ruff and the type checker
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

docs: venv  ## Build the documentation in site/; a warning or a dead link is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

notebooks: venv  ## Run the notebooks and keep what they show
	$(BIN)/python -m pytest tests/test_notebooks.py --write-notebooks

clean:  ## Remove .venv, tool caches and the frame caches; runs in outputs/ stay
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache *.egg-info dist site outputs/cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
