"""What computes for a `Predictor`: a trained network in PyTorch, or an exported one in ONNX Runtime.

Adding a new backend: a class with what `Backend` lists, and a constructor of `cardpose.prediction.predictor.Predictor`.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from cardpose.common.errors import InputError, MissingExtra, first_line
from cardpose.common.packet import CORNERS
from cardpose.fusion.intervals import Interval
from cardpose.models import checkpoints
from cardpose.models.encoders.base import needs_extra
from cardpose.models.end_to_end import ModelOutput
from cardpose.models.from_config import end_to_end
from cardpose.models.migrations import OUTPUTS


class Backend(Protocol):
    """Computes a batch.

    Attributes:
        size: (H, W) of the images that it takes.
        interval: calibration of a clip's interval, None where the file holds none.
        field_of_view: of the camera that the file was calibrated for, degrees across; None where it was for none.
    """

    size: tuple[int, int]
    interval: Interval | None
    field_of_view: float | None

    def __call__(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """(B, H, W, 3) uint8 RGB -> the fields of `models.end_to_end.Reading`, float64."""
        ...


class TorchBackend:
    """The network of a checkpoint, `module`.

    Args:
        path: the checkpoint.
        device: a torch device.

    Raises:
        InputError: no such file, not a checkpoint of cardpose, or one of another version's networks.
    """

    def __init__(self, path: str | Path, device: str = "cpu") -> None:
        checkpoint = checkpoints.read(path)
        described = checkpoint[checkpoints.KEY]
        try:
            self.module = end_to_end(described["config"])
            height, width = described["config"]["data"]["size"]
        except MissingExtra as error:
            raise InputError(f"{path}: {error}") from error
        except (InputError, KeyError, TypeError, ValueError) as error:
            raise InputError(f"{path}: {error}: {checkpoints.OTHER_VERSION}") from error
        checkpoints.load_weights(self.module.net, checkpoint, path, mend=checkpoints.OTHER_VERSION)
        self.module.to(device).eval()
        self._device = device
        self.size = (height, width)
        self.interval = checkpoints.interval(described)
        self.field_of_view = _field_of_view(described)

    @torch.inference_mode()
    def __call__(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """See `Backend`."""
        reading = self.module(torch.from_numpy(images).to(self._device))
        return {name: value.double().cpu().numpy() for name, value in reading._asdict().items()}


def _field_of_view(about: Mapping[str, Any]) -> float | None:
    """What `cardpose.calibrate` found of the camera, if it was asked and could tell."""
    return (about.get("calibration") or {}).get("field_of_view")


class OnnxBackend:
    """A file of `cardpose.export`, by ONNX Runtime on the CPU.

    The file's one input is (B, 3, H, W) uint8; its outputs are named as the fields of `Reading`, and its metadata has
    an entry "cardpose" in JSON with `size`, `keypoints` and, where there is one, `interval`.

    Args:
        path: the file.

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
        options.log_severity_level = 4  # what is wrong is said below, in one line
        try:
            self._session = onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # the runtime has a class of its own for each kind of damage
            said = first_line(error)
            raise InputError(f"{path}: not a whole ONNX file ({said}): export it again") from None
        names = [output.name for output in self._session.get_outputs()]
        self._outputs = {OUTPUTS.get(name, name): name for name in names}  # name today -> in the file
        about = self._metadata(path)
        self.size = (int(about["size"][0]), int(about["size"][1]))
        self.interval = Interval(**about["interval"]) if about.get("interval") else None
        self.field_of_view = _field_of_view(about)
        self._input = self._session.get_inputs()[0].name

    def __call__(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """See `Backend`."""
        planes = np.ascontiguousarray(images.transpose(0, 3, 1, 2))
        values = self._session.run(
            [self._outputs[name] for name in ModelOutput._fields], {self._input: planes}
        )
        return {
            name: value.astype(np.float64) for name, value in zip(ModelOutput._fields, values, strict=True)
        }

    def _metadata(self, path: str | Path) -> dict[str, Any]:
        """The file's entry about itself, checked."""
        entry = self._session.get_modelmeta().custom_metadata_map.get(checkpoints.KEY)
        outputs = self._outputs.keys()
        try:
            about = json.loads(entry or "")
            height, width = about["size"]
            known = outputs >= set(ModelOutput._fields) and min(height, width) > 0
        except (ValueError, TypeError, KeyError):
            known = False
        if not known:
            raise InputError(f"{path}: an ONNX file, but not of cardpose: write one with cardpose.export")
        if tuple(about.get("keypoints", ())) != CORNERS:
            raise InputError(f"{path}: of another order of corners: export it with this version of cardpose")
        return about
