"""The order of the wings, and the one module through which each heavy or replaceable library is imported."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import cardpose

ROOT = Path(cardpose.__file__).parent

WINGS = (
    "common",
    "geometry",
    "fusion",
    "data",
    "models",
    "synth",
    "edges",
    "evaluation",
    "training",
    "prediction",
    "deploy",
    "sweeps",
    "labelling",
    "app",
    "benchmarks",
)
"""A wing imports itself and the wings before it. Modules outside the wings are entries; no wing imports an entry."""

EXTRAS = {
    "timm": ("models.encoders.timm_features",),
    "onnx": ("deploy.onnx_model",),
    "onnxscript": ("deploy.onnx_model",),
    "sleap_io": ("data.formats.sleap",),
    "optuna": ("sweeps.search", "sweeps.trials", "training.callbacks.prune"),
    "starlette": ("labelling.app", "labelling.guard", "labelling.serve", "app.server"),
    "uvicorn": ("labelling.serve",),
    "segno": ("labelling.serve",),
    "cryptography": ("labelling.certificate",),
}
"""Libraries that the base install lacks, and the modules that import each, when it is used."""

NEED_THEIR_EXTRA = (
    "labelling.app",
    "labelling.guard",
    "labelling.serve",
    "labelling.certificate",
    "app.server",
)
"""Modules that import an extra's library at the top; an entry imports them when it runs."""


def modules() -> list[Path]:
    return sorted(path for path in ROOT.rglob("*.py") if path != ROOT / "__init__.py")


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def wing_of(name: str) -> str | None:
    """The wing of a module's dotted name without `cardpose.`; None for an entry."""
    wing = name.split(".")[0]
    return wing if wing in WINGS else None


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


def test_every_folder_is_a_wing() -> None:
    assert {path.parent.name for path in ROOT.glob("*/__init__.py")} == set(WINGS)


def test_entries_have_under_100_lines_and_other_files_at_most_300() -> None:
    lines = {path: len(path.read_text().splitlines()) for path in modules()}
    assert not [path for path, count in lines.items() if count > (99 if path.parent == ROOT else 300)]


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_imports_point_one_way(path: Path) -> None:
    own = wing_of(name_of(path))
    for imported in imports(path):
        if own is None or not imported.startswith("cardpose.") or imported == "cardpose.__version__":
            continue
        other = wing_of(imported.removeprefix("cardpose."))
        assert other is not None, f"{own} imports the entry {imported}"
        assert WINGS.index(other) <= WINGS.index(own), f"{own} imports {imported}"
        assert (own, other) != ("prediction", "training"), f"{name_of(path)}: a prediction needs no training"


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_libraries_have_one_door(path: Path) -> None:
    name = name_of(path)
    for imported in imports(path):
        library = imported.split(".")[0]
        assert library != "torchvision", "the base install has none"
        assert library not in EXTRAS or name in EXTRAS[library]
        assert library != "albumentations" or name == "data.augment"
        assert library != "av" or name == "common.jpeg" or name.startswith("data.footage.")
        assert library not in ("PIL", "pi_heif") or name == "common.images"
        assert library != "efficientnet_lite_pytorch" or name == "models.encoders.efficientnet_lite"
        assert library != "onnxruntime" or name in ("deploy.onnx_model", "models.session")
        assert library != "jinja2" or name == "evaluation.report.html"
        assert library != "scipy" or name in (
            "evaluation.metrics.coverage",
            "sweeps.significance",
            "geometry.focal_length",
        )


def test_everything_imports_without_the_extras() -> None:
    blocked = "; ".join(
        f"sys.modules[{library!r}] = None" for library in [*EXTRAS, "torchvision", "starlette", "uvicorn"]
    )
    everything = ", ".join(
        f"cardpose.{name}" for path in modules() if (name := name_of(path)) not in NEED_THEIR_EXTRA
    )
    subprocess.run([sys.executable, "-c", f"import sys; {blocked}; import {everything}"], check=True)
