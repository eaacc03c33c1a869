"""A model's predictions for the frames to label: corners to correct, and the uncertainty."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cardpose.common.errors import InputError
from cardpose.common.packet import HIDDEN, VISIBLE, FrameId
from cardpose.data.labels.marks import Mark, Marks
from cardpose.fusion.clips import frame_uncertainty
from cardpose.labelling.pictures import Pictures
from cardpose.prediction.predictor import Predictor
from cardpose.prediction.records import Prediction


@dataclass(frozen=True)
class Proposal:
    """A model's prediction for a frame.

    Args:
        marks: corners that it found or the fitted box predicts; None elsewhere.
        uncertainty: 0 to 1.
    """

    marks: Marks
    uncertainty: float


def propose(prediction: Prediction) -> Proposal:
    """Convert a prediction to marks."""
    size = prediction.width, prediction.height
    corners = zip(prediction.completed().tolist(), prediction.visibility, strict=True)
    (uncertainty,) = frame_uncertainty(
        prediction.confidence[None], prediction.visibility[None], np.array([prediction.flag])
    )
    return Proposal(tuple(_mark(x, y, visible, size) for (x, y), visible in corners), float(uncertainty))


def _mark(x: float, y: float, visible: float, size: tuple[int, int]) -> Mark | None:
    inside = -0.5 <= x <= size[0] - 0.5 and -0.5 <= y <= size[1] - 0.5
    return (round(x, 2), round(y, 2), VISIBLE if visible > 0.5 else HIDDEN) if inside else None


class Proposals:
    """Predicts the frames in a background thread, and requested ones immediately."""

    def __init__(self, predictor: Predictor, pictures: Pictures, frames: Sequence[FrameId]) -> None:
        self._predictor, self._pictures, self._frames = predictor, pictures, frames
        self._proposals: dict[FrameId, Proposal | None] = {}
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._all, daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread after the current frame."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()

    def of(self, key: FrameId) -> Proposal | None:
        """The proposal for a frame, predicted now if necessary; None if its picture cannot be read."""
        with self._lock:
            if key not in self._proposals:
                try:
                    self._proposals[key] = propose(self._predictor(self._pictures.image(key)))
                except InputError:
                    self._proposals[key] = None
            return self._proposals[key]

    def uncertainties(self) -> dict[FrameId, float]:
        """Uncertainty of the frames predicted so far."""
        return {key: one.uncertainty for key, one in list(self._proposals.items()) if one is not None}

    @property
    def finished(self) -> bool:
        """Whether all frames are predicted."""
        return len(self._proposals) >= len(self._frames)

    def _all(self) -> None:
        for key in self._frames:
            if self._stopped.is_set():
                return
            self.of(key)
