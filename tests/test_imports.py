"""Imports point one way, and heavy or replaceable libraries stay behind one door."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import cardpose

ROOT = Path(cardpose.__file__).parent

LAYERS = (
    ("errors", "packet"),
    ("threads", "bars", "processes", "ranks", "commands", "noise"),
    ("gathered", "launch"),
    ("affine", "letterbox", "hardware", "schedules", "peaks", "timing", "overlap"),
    ("heatmaps", "geometry", "card_losses", "intervals", "visibility"),
    ("boxes", "coverage"),
    ("clips", "focal"),
    ("videos", "tracking"),
    ("data", "synth", "models", "metrics", "checkpoints", "heatmap_losses"),
    ("losses", "confusion", "backends", "sources", "deploy"),
    ("results", "module", "plots", "onnx_model", "parity"),
    ("viz", "inference", "framebar"),
    ("callbacks", "reports", "predictions", "tested", "html_report", "suggestion"),
    ("overlay", "folds", "conditions", "explain", "compare", "checks", "labelling"),
    ("build", "cli", "locks", "stages", "fold_report", "compare_report"),
    (
        "measure",
        "backbones",
        "bench_predict",
        "bench_devices",
        "bench_memory",
        "runs",
        "rerun",
        "hyperparameters",
    ),
    ("fold_runs", "sweeps"),
    ("trials", "sweep_jobs", "sweep_bar", "sweep_results"),
    ("sweep_session", "sweep_plots", "sweep_hparams"),
    ("search", "sweep_page"),
    ("export_frames",),
    (
        *(
            "train",
            "crossval",
            "evaluate",
            "calibrate",
            "bench",
            "synthesize",
            "convert",
            "predict",
            "export",
        ),
        *("check", "suggest", "sweep_table", "subsample", "label"),
    ),
)
"""A part imports itself and the layers above it, never one beside or below it."""

EXTRAS = {
    "timm": ("models.timm_features",),
    "efficientnet_lite_pytorch": ("models.efficientnet_lite",),
    "onnx": ("onnx_model",),
    "onnxruntime": ("onnx_model", "backends"),
    "onnxscript": ("onnx_model",),
    "sleap_io": ("data.formats.sleap",),
    "optuna": ("search", "callbacks.prune"),
    "sqlalchemy": ("search",),
    "hydra_plugins": ("search",),
    "starlette": ("labelling.app", "labelling.guard", "labelling.serve"),
    "uvicorn": ("labelling.serve",),
}
"""Libraries that the base install lacks, and the modules that import each, when it is used."""

NEED_THEIR_EXTRA = ("labelling.app", "labelling.guard", "labelling.serve")
"""Modules that are made of an extra's library; an entry imports them when it is used."""

ENTRIES = {part for parts in LAYERS[-8:] for part in parts}


def modules() -> list[Path]:
    return sorted(path for path in ROOT.rglob("*.py") if path != ROOT / "__init__.py")


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports, also inside functions."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            assert node.module is not None
            if node.module == "cardpose":
                yield from (f"cardpose.{alias.name}" for alias in node.names)
            else:
                yield node.module


def layer(part: str) -> int:
    return next(number for number, parts in enumerate(LAYERS) if part in parts)


def test_every_part_has_a_layer() -> None:
    parts = {name_of(path).split(".")[0] for path in modules()}
    assert parts == {part for parts in LAYERS for part in parts}


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_imports_point_one_way(path: Path) -> None:
    own = name_of(path).split(".")[0]
    for imported in imports(path):
        if not imported.startswith("cardpose.") or imported == "cardpose.__version__":
            continue
        other = imported.split(".")[1]
        assert own == other or layer(other) < layer(own), f"{own} imports {imported}"


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_libraries_stay_behind_their_door(path: Path) -> None:
    name = name_of(path)
    for imported in imports(path):
        library = imported.split(".")[0]
        assert library != "torchvision", "the base install has none"
        assert library not in EXTRAS or name in EXTRAS[library]
        assert library != "albumentations" or name == "data.augment"
        assert library not in ("hydra", "omegaconf") or name in ENTRIES
        assert library != "av" or name == "data.video"
        assert library != "jinja2" or name == "html_report"
        assert library != "scipy" or name in ("coverage", "noise", "focal")


def test_everything_imports_without_the_extras() -> None:
    blocked = "; ".join(
        f"sys.modules[{library!r}] = None" for library in [*EXTRAS, "torchvision", "starlette", "uvicorn"]
    )
    everything = ", ".join(
        f"cardpose.{name}" for path in modules() if (name := name_of(path)) not in NEED_THEIR_EXTRA
    )
    subprocess.run([sys.executable, "-c", f"import sys; {blocked}; import {everything}"], check=True)
