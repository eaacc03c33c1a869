"""A trained model at work: pictures in, corners in their pixels and counts out.

    predictor = Predictor.from_file("outputs/<run>/checkpoints/best.ckpt")    or an exported .onnx
    predictor("packet.jpg").cards                                             one picture, a file or an array
    for prediction in predictor.stream(frames): ...                           any number of them

Needs neither Lightning nor Hydra nor albumentations, and with an ONNX file no torch. Reading footage is in
`cardpose.prediction.sources`, the count of a whole clip in `cardpose.fusion.clips`, smoothing over time in
`cardpose.prediction.tracking`.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cardpose.common.errors import InputError
from cardpose.common.images import read_focal, read_image
from cardpose.common.packet import MAX_CARDS
from cardpose.common.threads import load_torch
from cardpose.fusion.clips import Flag, check_and_fit
from cardpose.fusion.edge_votes import LOOKED_AT, MIN_SIDE, choose_in_frame
from cardpose.geometry.box_fit import BoxFit, focal_length
from cardpose.geometry.letterbox import letterbox
from cardpose.models.released import DEFAULT, RELEASED, find_model
from cardpose.prediction.backends import Backend, OnnxBackend, is_onnx
from cardpose.prediction.records import FrameItem, Prediction
from cardpose.prediction.second_look import DECISIVE, cut_out, is_small

if TYPE_CHECKING:
    from cardpose.edges.counting import EdgeCounter

BATCH_SIZE = 16
"""Frames that are predicted at once."""


class Predictor:
    """Predicts frames of any size and shape, letterboxed as in training.

    Args:
        backend: what computes; it holds the interval and the fusion settings of the model.
        field_of_view: of the camera, in degrees across the longer side of its frames, for thickness and box; None: that
            in the EXIF data of a photograph, else that which the model was calibrated for, else a phone's.
    """

    def __init__(self, backend: Backend, field_of_view: float | None = None) -> None:
        self.backend = backend
        self.interval, self.fusion = backend.interval, backend.fusion
        view = field_of_view or backend.field_of_view
        self._given = field_of_view is not None
        self.focal = focal_length(view)
        """Focal length, in longer sides of the frames."""

    @cached_property
    def edges(self) -> "EdgeCounter":
        """The counter of edges, read when the first frame is large enough for it."""
        from cardpose.edges.counting import EdgeCounter

        return EdgeCounter.from_file()

    @classmethod
    def from_file(
        cls, path: str | Path = DEFAULT, device: str = "cpu", field_of_view: float | None = None
    ) -> "Predictor":
        """Load a checkpoint or an exported ONNX file; its content and its suffix decide which.

        Args:
            path: the file, or the name of a released model: its ONNX file on the CPU, its checkpoint elsewhere.
            device: a torch device, or "auto" for the GPU if there is one. An ONNX file runs on the CPU.
            field_of_view: replaces that of the file.

        Raises:
            InputError: no such file, not of cardpose, of another version, or a device that an ONNX file cannot use.
        """
        if str(path) in RELEASED:
            path = find_model(path, exported=device in ("auto", "cpu"))
        if not is_onnx(path):
            load_torch()
            from cardpose.prediction.torch_backend import TorchBackend

            return cls(TorchBackend(path, device), field_of_view)
        if device not in ("auto", "cpu"):
            raise InputError(f"{path}: an ONNX file runs on the CPU: choose accelerator cpu or auto")
        return cls(OnnxBackend(path), field_of_view)

    @classmethod
    def from_checkpoint(
        cls, path: str | Path, device: str = "cpu", field_of_view: float | None = None
    ) -> "Predictor":
        """The name of `from_file` in version 0.1.0, for checkpoints."""
        return cls.from_file(path, device, field_of_view)

    @classmethod
    def from_onnx(cls, path: str | Path, field_of_view: float | None = None) -> "Predictor":
        """The name of `from_file` in version 0.1.0, for ONNX files."""
        return cls.from_file(path, field_of_view=field_of_view)

    def __call__(self, picture: np.ndarray | str | Path) -> Prediction:
        """Predict one picture: (H, W, 3) uint8 RGB, or an image file, rotated by its EXIF orientation.

        Raises:
            InputError: the file is missing or not an image.
            ValueError: an array of another shape or type.
        """
        if isinstance(picture, np.ndarray):
            return self.predict([self.prepare(picture)])[0]
        path = Path(picture)
        return self.predict([self.prepare(read_image(path), read_focal(path))])[0]

    def batch(self, images: Sequence[np.ndarray] | np.ndarray) -> list[Prediction]:
        """Predict (B, H, W, 3) uint8 RGB, or a list of images that may differ in size, as one batch.

        Raises:
            ValueError: an array of another shape or type.
        """
        return self.predict([self.prepare(image) for image in images])

    def stream(self, frames: Iterable[np.ndarray], batch_size: int = BATCH_SIZE) -> Iterator[Prediction]:
        """Predict (H, W, 3) uint8 RGB frames one after another, `batch_size` at a time.

        Raises:
            ValueError: an array of another shape or type.
        """
        frames = iter(frames)
        while images := list(islice(frames, batch_size)):
            yield from self.batch(images)

    def prepare(self, image: np.ndarray, focal: float | None = None) -> FrameItem:
        """Letterbox (H, W, 3) uint8 RGB; apart from `predict`, so that another thread can do it.

        Args:
            focal: focal length in longer sides of the image, where its EXIF data tell.

        Raises:
            ValueError: an array of another shape or type.
        """
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
            raise ValueError(f"expected uint8 RGB (height, width, 3), got {image.dtype} {image.shape}")
        height, width = image.shape[:2]
        picture = image if self.fusion.second_look > 0 or max(height, width) >= MIN_SIDE else None
        letterboxed = letterbox(image, self.backend.size)
        return FrameItem(*letterboxed, width=width, height=height, picture=picture, focal=focal)

    def predict(self, items: Sequence[FrameItem]) -> list[Prediction]:
        """Predict a batch of prepared frames, in their order."""
        return [self.with_edges(item, *seen) for item, seen in zip(items, self.look(items), strict=True)]

    def look(self, items: Sequence[FrameItem]) -> list[tuple[Prediction, BoxFit[np.ndarray]]]:
        """Predictions of prepared frames without their edges, and the box (1, ...) of each; small packets twice."""
        seen = self._look_once(items)
        size = self.backend.size
        small = [i for i, item in enumerate(items) if self._looks_twice(item, seen[i][0])]
        closer = [cut_out(items[i], seen[i][0].completed(), size) for i in small]
        for i, second in zip(small, self._look_once(closer), strict=True):
            if second[0].flag in DECISIVE:
                seen[i] = second
        return seen

    def with_edges(self, item: FrameItem, found: Prediction, box: BoxFit[np.ndarray]) -> Prediction:
        """A prediction of `look` after a look at the edges in the source frame, if that is large enough."""
        if item.picture is None or not has_edges(item.width, item.height, found.flag):
            return found
        edges = self.edges(item.picture, box, self._focal(item))
        cards, method = choose_in_frame(found.cards, self.interval, edges.vote)
        return replace(found, edges=edges, cards=cards, method=method)

    def _looks_twice(self, item: FrameItem, found: Prediction) -> bool:
        frame, size = (item.width, item.height), self.backend.size
        return item.picture is not None and is_small(found.flag, found.completed(), frame, size, self.fusion)

    def _look_once(self, items: Sequence[FrameItem]) -> list[tuple[Prediction, BoxFit[np.ndarray]]]:
        if not items:
            return []
        output = self.backend(np.stack([item.image for item in items]))
        # Corners to source pixels, in float64; flags and boxes are computed there.
        to_source = np.stack([item.to_source for item in items]).astype(np.float64)  # (B, 2, 3)
        corners = output.corners @ to_source[:, :, :2].transpose(0, 2, 1) + to_source[:, None, :, 2]
        size = np.array([(item.width, item.height) for item in items])
        focal = np.array([self._focal(item) for item in items])
        flags, boxes = check_and_fit(output.confidence, corners, size, self.fusion, focal)
        predictions = [
            Prediction(
                width=items[i].width,
                height=items[i].height,
                corners=corners[i],
                confidence=output.confidence[i],
                found=output.confidence[i] > self.fusion.found,
                visibility=output.visibility[i],
                cards=float(np.clip(output.cards[i], 1, MAX_CARDS)),  # exports of older versions do not
                cards_std=float(output.cards_std[i]),
                thickness_mm=float(boxes.box.thickness[i]),
                box=boxes.corners[i],
                flag=Flag(int(flags[i])),
            )
            for i in range(len(items))
        ]
        fits = [BoxFit(*(part[i : i + 1] for part in boxes.box)) for i in range(len(items))]
        return list(zip(predictions, fits, strict=True))

    def _focal(self, item: FrameItem) -> float:
        return self.focal if item.focal is None or self._given else item.focal


def has_edges(width: int, height: int, flag: int) -> bool:
    """Whether edges are counted in source frames of this size in pixels and with this flag."""
    return max(width, height) >= MIN_SIDE and flag in LOOKED_AT


def choose_device(accelerator: str) -> str:
    """The torch device for auto, cpu or gpu; auto stays "auto", see `Predictor.from_file`.

    Raises:
        InputError: another word, or no GPU.
    """
    if accelerator not in ("auto", "cpu", "gpu"):
        raise InputError(f"accelerator={accelerator}: choose auto, cpu or gpu")
    if accelerator == "gpu" and not load_torch().cuda.is_available():
        raise InputError("accelerator=gpu: there is no CUDA GPU here: choose auto or cpu")
    return {"gpu": "cuda"}.get(accelerator, accelerator)
