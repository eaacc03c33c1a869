"""What computes for a `Predictor`: a checkpoint in PyTorch, or an exported file in ONNX Runtime.

Adding a backend: a class with the attributes and the call of `Backend`, chosen in `Predictor.from_file`.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from cardpose.common.errors import InputError, MissingExtra, first_line, needs_extra
from cardpose.common.packet import CORNERS, ModelOutput
from cardpose.fusion.intervals import Interval
from cardpose.fusion.settings import FusionConfig
from cardpose.models import checkpoints
from cardpose.models.from_config import end_to_end
from cardpose.models.migrations import OUTPUTS, migrate_export

_ONNX_FIRST_BYTE = b"\x08"  # the first field of a ModelProto, its ir_version


class Backend(Protocol):
    """Computes a batch.

    Attributes:
        size: (H, W) of the images that it takes.
        interval: calibration of a clip's interval, None without one.
        fusion: settings of the fusion that the interval was calibrated with.
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


class TorchBackend:
    """The network of a checkpoint, `module`.

    Args:
        device: a torch device, or "auto" for the GPU if there is one.

    Raises:
        InputError: no such file, not a checkpoint of cardpose, or of another version.
    """

    def __init__(self, path: str | Path, device: str = "cpu") -> None:
        checkpoint = checkpoints.read(path)
        described = checkpoint[checkpoints.KEY]
        try:
            self.module = end_to_end(described["config"])
            height, width = described["config"]["data"]["size"]
            self.fusion = checkpoints.fusion(described)
        except MissingExtra as error:
            raise InputError(f"{path}: {error}") from error
        except (InputError, KeyError, TypeError, ValueError) as error:
            raise InputError(f"{path}: {error}: {checkpoints.OTHER_VERSION}") from error
        checkpoints.load_weights(self.module.net, checkpoint, path, fix=checkpoints.OTHER_VERSION)
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        self.module.to(device).eval()
        self._device = device
        self.size = (height, width)
        self.interval = checkpoints.interval(described)
        self.field_of_view = _field_of_view(described)

    @torch.inference_mode()
    def __call__(self, images: np.ndarray) -> ModelOutput[np.ndarray]:
        """See `Backend`."""
        output = self.module(torch.from_numpy(images).to(self._device))
        return ModelOutput(*(value.double().cpu().numpy() for value in output))


def _field_of_view(about: Mapping[str, Any]) -> float | None:
    """The field of view that `cardpose.calibrate` estimated, if it did."""
    return (about.get("calibration") or {}).get("field_of_view")


class OnnxBackend:
    """A file of `cardpose.export`, in ONNX Runtime on the CPU.

    Its one input is (B, 3, H, W) uint8, its outputs are named as the fields of `ModelOutput`, and its metadata has an
    entry "cardpose" in JSON with `size`, `keypoints` and, where they are known, `interval` and `fusion`.

    Raises:
        InputError: no such file, not ONNX, not of cardpose, or ONNX Runtime is not installed.
    """

    def __init__(self, path: str | Path) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise needs_extra(str(path), "onnx") from error
        if not Path(path).is_file():
            raise InputError(f"{path}: no such file: write one with cardpose.export")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 4  # errors are reported below, in one line
        try:
            model = Path(path).read_bytes()  # the runtime opens no path that is not UTF-8
            self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # the runtime has a class of its own for each kind of damage
            reason = first_line(error)
            raise InputError(f"{path}: not a whole ONNX file ({reason}): export it again") from None
        names = [output.name for output in self._session.get_outputs()]
        self._outputs = {OUTPUTS.get(name, name): name for name in names}  # name today -> in the file
        self.about = about = self._metadata(path)
        self.size = (int(about["size"][0]), int(about["size"][1]))
        self.interval = checkpoints.interval(about)
        self.fusion = FusionConfig.from_dict(about["fusion"])
        self.field_of_view = _field_of_view(about)
        self._input = self._session.get_inputs()[0].name

    def __call__(self, images: np.ndarray) -> ModelOutput[np.ndarray]:
        """See `Backend`."""
        planes = np.ascontiguousarray(images.transpose(0, 3, 1, 2))
        names = [self._outputs[name] for name in ModelOutput._fields]
        values = self._session.run(names, {self._input: planes})
        return ModelOutput(*(value.astype(np.float64) for value in values))

    def _metadata(self, path: str | Path) -> dict[str, Any]:
        """The entry "cardpose" of the file's metadata, checked."""
        entry = self._session.get_modelmeta().custom_metadata_map.get(checkpoints.KEY)
        try:
            about = migrate_export(json.loads(entry or ""))
            height, width = about["size"]
            known = self._outputs.keys() >= set(ModelOutput._fields) and min(height, width) > 0
        except (ValueError, TypeError, KeyError, AttributeError):
            known = False
        if not known:
            raise InputError(f"{path}: an ONNX file, but not of cardpose: write one with cardpose.export")
        if tuple(about.get("keypoints", ())) != CORNERS:
            raise InputError(f"{path}: keypoint order differs from this version: export the model again")
        try:
            checkpoints.check_calibration(about)
        except InputError as error:
            raise InputError(f"{path}: {error}") from None
        return about
