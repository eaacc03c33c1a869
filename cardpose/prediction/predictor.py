"""A trained model at work: pictures in, corners in their pixels and counts out.

    predictor = Predictor.from_checkpoint("outputs/<run>/checkpoints/best.ckpt")
    predictor("packet.jpg").cards                                     one picture, a file or an array
    for prediction in predictor.stream(frames): ...                   any number of them

Needs neither Lightning nor Hydra nor albumentations. Reading footage is `cardpose.data`'s, one answer out of a clip's
frames `cardpose.fusion.clips`', smoothing over time `cardpose.prediction.tracking`'s.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from cardpose.common.errors import InputError
from cardpose.common.images import read_image
from cardpose.fusion.clips import FOUND, Flag, check_frames
from cardpose.fusion.intervals import Interval
from cardpose.geometry.box_fit import PHONE_FOCAL, focal_length
from cardpose.geometry.boxes import fit_frames
from cardpose.geometry.letterbox import letterbox
from cardpose.prediction.backends import Backend, OnnxBackend, TorchBackend

TOLERANCE = 0.024
"""Of the frame's longer side; a corner farther from the box counts less, as in conf/count_features/box.yaml."""


@dataclass(frozen=True)
class FramePrediction:
    """What the model says of one frame.

    Args:
        width, height: of the frame in pixels.
        corners: (8, 2) float64 in pixels of the frame, x right, y down; order of `packet.CORNERS`.
        confidence: (8,) height of each heatmap's peak, 0 to 1.
        visibility: (8,) probability that the corner is visible, 0 to 1.
        cards: estimated count in cards.
        cards_std: its standard deviation in cards, NaN where the network does not tell.
        thickness_mm: of the packet, by the box that fits the corners; NaN where they do not determine it.
        box: (8, 2) corners of that box in pixels of the frame, the hidden ones too; NaN where there is none.
        flag: why the frame is of little use, or `Flag.GOOD`.
    """

    width: int
    height: int
    corners: np.ndarray
    confidence: np.ndarray
    visibility: np.ndarray
    cards: float
    cards_std: float
    thickness_mm: float
    box: np.ndarray
    flag: Flag

    def completed(self) -> np.ndarray:
        """(8, 2) corners that were found, the others where the box has them; NaN where there is neither."""
        of_box = self.box if self.flag in (Flag.GOOD, Flag.CUT_OFF) else np.nan
        found = (self.confidence > FOUND)[:, None]
        return np.where(found, self.corners, of_box)


class PreprocessedFrame(NamedTuple):
    """A frame as the network wants it: (H, W, 3) uint8, the way back (2, 3), and the frame's own size in pixels."""

    image: np.ndarray
    to_source: np.ndarray
    width: int
    height: int


class Predictor:
    """Predicts frames of any size and shape, letterboxed as in training.

    Args:
        backend: what computes.
        interval: calibration of a clip's interval, where the model has one.
        field_of_view: of the camera, degrees across its frames' longer side, for thickness and box; None: a phone's.
    """

    def __init__(
        self, backend: Backend, interval: Interval | None = None, field_of_view: float | None = None
    ) -> None:
        self.backend = backend
        self.interval = interval
        self.focal = PHONE_FOCAL if field_of_view is None else focal_length(field_of_view)
        """Focal length, of the longer side of the frames."""

    @classmethod
    def from_checkpoint(
        cls, path: str | Path, device: str = "cpu", field_of_view: float | None = None
    ) -> "Predictor":
        """The network of a run's checkpoint, on a torch device; `field_of_view` replaces the checkpoint's own.

        Raises:
            InputError: no such file, not a checkpoint of cardpose, or one of another version's networks.
        """
        backend = TorchBackend(path, device)
        return cls(backend, backend.interval, field_of_view or backend.field_of_view)

    @classmethod
    def from_onnx(cls, path: str | Path, field_of_view: float | None = None) -> "Predictor":
        """A file of `cardpose.export`, by ONNX Runtime on the CPU; `field_of_view` replaces the file's own.

        Raises:
            InputError: no such file, not ONNX, not of cardpose, or ONNX Runtime is not installed.
        """
        backend = OnnxBackend(path)
        return cls(backend, backend.interval, field_of_view or backend.field_of_view)

    def __call__(self, picture: np.ndarray | str | Path) -> FramePrediction:
        """Predict one picture: (H, W, 3) uint8 RGB, or an image file, turned as its EXIF orientation says.

        Raises:
            InputError: the file is missing or no image.
            ValueError: an array of another shape or type.
        """
        image = picture if isinstance(picture, np.ndarray) else read_image(Path(picture))
        return self.batch([image])[0]

    def batch(self, images: Sequence[np.ndarray] | np.ndarray) -> list[FramePrediction]:
        """Predict (B, H, W, 3) uint8 RGB, or a list of images that may differ in size, all at once.

        Raises:
            ValueError: an array of another shape or type.
        """
        return self.predict([self.prepare(image) for image in images])

    def stream(self, frames: Iterable[np.ndarray], batch_size: int = 16) -> Iterator[FramePrediction]:
        """Predict one (H, W, 3) uint8 RGB frame after another, `batch_size` at a time.

        Raises:
            ValueError: an array of another shape or type.
        """
        frames = iter(frames)
        while images := list(islice(frames, batch_size)):
            yield from self.batch(images)

    def prepare(self, image: np.ndarray) -> PreprocessedFrame:
        """Letterbox (H, W, 3) uint8 RGB; apart from `predict`, so that another thread can do it.

        Raises:
            ValueError: an array of another shape or type.
        """
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
            raise ValueError(f"want uint8 RGB (height, width, 3), got {image.dtype} {image.shape}")
        return PreprocessedFrame(
            *letterbox(image, self.backend.size), width=image.shape[1], height=image.shape[0]
        )

    def predict(self, prepared: Sequence[PreprocessedFrame]) -> list[FramePrediction]:
        """Predict a batch of prepared frames, in their order."""
        if not prepared:
            return []
        said = self.backend(np.stack([frame.image for frame in prepared]))
        to_source = np.stack([frame.to_source for frame in prepared]).astype(np.float64)  # (B, 2, 3)
        corners = said["corners"] @ to_source[:, :, :2].transpose(0, 2, 1) + to_source[:, None, :, 2]
        size = np.array([(frame.width, frame.height) for frame in prepared])
        flags = check_frames(said["confidence"], corners, size)
        thickness, box = fit_boxes(said["confidence"], corners, size, self.focal)
        return [
            FramePrediction(
                width=prepared[i].width,
                height=prepared[i].height,
                corners=corners[i],
                confidence=said["confidence"][i],
                visibility=said["visibility"][i],
                cards=float(said["cards"][i]),
                cards_std=float(said["cards_std"][i]),
                thickness_mm=float(thickness[i]),
                box=box[i],
                flag=Flag(int(flags[i])),
            )
            for i in range(len(prepared))
        ]


def fit_boxes(
    confidence: np.ndarray, corners: np.ndarray, size: np.ndarray, focal: float = PHONE_FOCAL
) -> tuple[np.ndarray, np.ndarray]:
    """The boxes that fit the found corners.

    Args:
        confidence: (B, 8) heights of the heatmaps' peaks.
        corners: (B, 8, 2) in source pixels.
        size: (B, 2) width and height of the source frames in pixels.
        focal: focal length of the camera, of the frames' longer side.

    Returns:
        Thickness (B,) in mm and corners (B, 8, 2) in source pixels; NaN where the found ones do not determine it.
    """
    weights = np.where(confidence > FOUND, confidence, 0.0)
    boxes = fit_frames(corners, weights, size, tolerance=TOLERANCE, focal=focal)
    return boxes.fit.thickness.numpy(), boxes.corners


def load(path: str | Path, device: str = "cpu", field_of_view: float | None = None) -> Predictor:
    """A predictor from either kind of file, ONNX by its suffix, else a checkpoint; see `Predictor`.

    Raises:
        InputError: the file cannot be used.
    """
    if Path(path).suffix.lower() == ".onnx":
        if device != "cpu":
            raise InputError(f"{path}: an ONNX file computes on the CPU: leave accelerator=gpu away")
        return Predictor.from_onnx(path, field_of_view)
    return Predictor.from_checkpoint(path, device, field_of_view)


def choose_device(accelerator: str) -> str:
    """The torch device for auto, cpu or gpu.

    Raises:
        InputError: another word, or a GPU that is not there.
    """
    if accelerator not in ("auto", "cpu", "gpu"):
        raise InputError(f"accelerator={accelerator}: choose auto, cpu or gpu")
    if accelerator == "gpu" and not torch.cuda.is_available():
        raise InputError("accelerator=gpu: there is no CUDA GPU here: choose auto or cpu")
    return "cuda" if accelerator != "cpu" and torch.cuda.is_available() else "cpu"
