"""The model of the page: an ONNX file, and its description as JSON."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from platformdirs import user_cache_path

from cardpose import __version__
from cardpose.common.errors import InputError
from cardpose.common.files import file_digest
from cardpose.models.released import find_model
from cardpose.prediction.backends import OnnxBackend, is_onnx


@dataclass(frozen=True)
class PageModel:
    """A model as the page loads it.

    Args:
        onnx: the file's bytes.
        about: its description, see `cardpose.deploy.graph.describe`; a browser cannot read it from the file.
    """

    onnx: bytes
    about: dict[str, Any]


def exported(name: str, cache: Path | None = None) -> PageModel:
    """The model as ONNX; a checkpoint is exported once, into the user's cache folder.

    Args:
        name: a released model, a checkpoint, a run folder or an ONNX file.
        cache: another folder than the user's.

    Raises:
        InputError: there is no such model, it is damaged, or the extra `onnx` is missing.
    """
    path = find_model(name, exported=True)
    if path.suffix.lower() == ".pt2":
        raise InputError(
            f"{path}: a browser runs no torch.export program: choose a checkpoint or an ONNX file"
        )
    if not is_onnx(path):
        path = _export(path, cache or user_cache_path("cardpose") / "app")
    about = OnnxBackend(path).about
    return PageModel(path.read_bytes(), about)


def _export(path: Path, folder: Path) -> Path:
    """The ONNX file of a checkpoint: its name holds the checkpoint's digest and the version that exports it."""
    out = folder / f"{path.stem}-{file_digest(path)[:16]}-{__version__}.onnx"
    if out.is_file():
        return out
    from cardpose.deploy.onnx_model import export_network

    export_network(path, out)
    return out


def description(about: dict[str, Any]) -> bytes:
    """The description as JSON for the page: what its letterbox, flags and fusion need."""
    kept = ("size", "keypoints", "cards", "calibration", "interval", "fusion", "precision", "run")
    return json.dumps({key: about.get(key) for key in kept}).encode()
