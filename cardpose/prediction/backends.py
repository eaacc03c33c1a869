"""Backends of a `Predictor`: an exported file in ONNX Runtime, or a checkpoint in PyTorch (torch_backend.py).

This module does not import torch, which takes longer to load than a picture to predict.
Adding a backend: a class with the attributes and the call of `Backend`, chosen in `Predictor.from_file`.
"""

import json
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from cardpose.common.errors import InputError, first_line
from cardpose.common.packet import CORNERS, ModelOutput
from cardpose.fusion.intervals import Interval
from cardpose.fusion.settings import FusionConfig
from cardpose.models import metadata
from cardpose.models.migrations import OUTPUTS, migrate_export
from cardpose.models.session import open_session

_ONNX_FIRST_BYTE = b"\x08"  # the first field of a ModelProto, its ir_version


class Backend(Protocol):
    """Computes a batch.

    Attributes:
        size: (H, W) of the images that it takes.
        interval: calibration of a clip's interval, None without one.
        fusion: settings of the fusion. The interval was calibrated with them, on frames that were looked at once.
        field_of_view: of the camera that the model was calibrated for, degrees; None without one.
    """

    size: tuple[int, int]
    interval: Interval | None
    fusion: FusionConfig
    field_of_view: float | None

    def __call__(self, images: np.ndarray) -> ModelOutput[np.ndarray]:
        """(B, H, W, 3) uint8 RGB -> the model's output, float64, corners in network pixels."""
        ...


def is_onnx(path: str | Path) -> bool:
    """Whether a file is an ONNX model, by its suffix or its first byte."""
    path = Path(path)
    if path.suffix.lower() == ".onnx" or not path.is_file():
        return path.suffix.lower() == ".onnx"
    with path.open("rb") as file:
        return file.read(1) == _ONNX_FIRST_BYTE


class OnnxBackend:
    """A file of `cardpose.export`, in ONNX Runtime on the CPU.

    Its one input is (B, 3, H, W) uint8, its outputs are named as the fields of `ModelOutput`, and its metadata has an
    entry "cardpose" in JSON with `size`, `keypoints` and, where they are known, `interval` and `fusion`.

    Raises:
        InputError: no such file, not ONNX, or not of cardpose.
    """

    def __init__(self, path: str | Path) -> None:
        self._session, self._path = open_session(path), path
        names = [output.name for output in self._session.get_outputs()]
        self._outputs = {OUTPUTS.get(name, name): name for name in names}  # name today -> in the file
        self.about = about = self._metadata()
        self.size = (about["size"][0], about["size"][1])
        self.interval = metadata.interval(about)
        self.fusion = FusionConfig.from_dict(about["fusion"])
        self.field_of_view = metadata.field_of_view(about)
        self._input = self._session.get_inputs()[0].name

    def __call__(self, images: np.ndarray) -> ModelOutput[np.ndarray]:
        """See `Backend`."""
        planes = np.ascontiguousarray(images.transpose(0, 3, 1, 2))
        names = [self._outputs[name] for name in ModelOutput._fields]
        try:
            values = self._session.run(names, {self._input: planes})
            output = ModelOutput(*(value.astype(np.float64) for value in values))
        except Exception as error:  # the runtime has a class of its own for each fault
            raise InputError(
                f"{self._path}: cannot be computed ({first_line(error)}): export it again"
            ) from None
        check_output(output, len(images), self._path)
        return output

    def _metadata(self) -> dict[str, Any]:
        """The entry "cardpose" of the file's metadata, checked."""
        path, (image, *others) = self._path, self._session.get_inputs() or [None]
        try:
            entry = self._session.get_modelmeta().custom_metadata_map[metadata.KEY]
            about = migrate_export(json.loads(entry))
            known = self._outputs.keys() >= set(ModelOutput._fields) and image is not None and not others
            known = known and all(type(side) is int for side in about["size"])
            known = known and (image.type, image.shape[1:]) == ("tensor(uint8)", [3, *about["size"]])
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            known = False
        if not known:
            raise InputError(f"{path}: an ONNX file, but not of cardpose: write one with cardpose.export")
        if about.get("keypoints") != list(CORNERS):
            raise InputError(f"{path}: keypoint order differs from this version: export the model again")
        try:
            metadata.check_calibration(about)
            FusionConfig.from_dict(about["fusion"])
        except (InputError, TypeError) as error:
            raise InputError(f"{path}: {error}: export the model again") from None
        return about


def check_output(output: ModelOutput[np.ndarray], frames: int, path: str | Path) -> None:
    """Check the arrays of a model that comes from anywhere.

    Raises:
        InputError: one is of another shape, or not finite; `cards_std` may be NaN.
    """
    shapes = ((frames, 8, 2), (frames, 8), (frames, 8), (frames,), (frames,))
    if tuple(value.shape for value in output) != shapes:
        raise InputError(f"{path}: its outputs have other shapes than this version's: export it again")
    if not all(np.isfinite(value).all() for value in output[:4]):
        raise InputError(f"{path}: its outputs are not finite, the training diverged: use another model")
