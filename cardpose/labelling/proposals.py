"""What a model says of the frames to label: corners to correct, and how unsure it is."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cardpose.common.errors import InputError
from cardpose.common.packet import HIDDEN, VISIBLE, FrameId
from cardpose.data.labels.marks import Mark, Marks
from cardpose.fusion.clips import frame_uncertainty
from cardpose.labelling.pictures import Pictures
from cardpose.prediction.predictor import FramePrediction, Predictor


@dataclass(frozen=True)
class Proposal:
    """A model's word on a frame.

    Args:
        marks: corners where it found them or the box has them; None elsewhere.
        doubt: how unsure it is, 0 to 1.
    """

    marks: Marks
    doubt: float


def propose(prediction: FramePrediction) -> Proposal:
    """From a prediction to marks that a person corrects."""
    size = prediction.width, prediction.height
    corners = zip(prediction.completed().tolist(), prediction.visibility, strict=True)
    (doubt,) = frame_uncertainty(
        prediction.confidence[None], prediction.visibility[None], np.array([prediction.flag])
    )
    return Proposal(tuple(_mark(x, y, visible, size) for (x, y), visible in corners), float(doubt))


def _mark(x: float, y: float, visible: float, size: tuple[int, int]) -> Mark | None:
    inside = -0.5 <= x <= size[0] - 0.5 and -0.5 <= y <= size[1] - 0.5
    return (round(x, 2), round(y, 2), VISIBLE if visible > 0.5 else HIDDEN) if inside else None


class Proposals:
    """Predicts frames one after another in a thread, and at once those that are asked for.

    Args:
        predictor: the model.
        pictures: of the frames.
        frames: to predict.
    """

    def __init__(self, predictor: Predictor, pictures: Pictures, frames: Sequence[FrameId]) -> None:
        self._predictor, self._pictures, self._frames = predictor, pictures, frames
        self._said: dict[FrameId, Proposal | None] = {}
        self._one = threading.Lock()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._all, daemon=True)

    def start(self) -> None:
        """Begin with the first frame."""
        self._thread.start()

    def stop(self) -> None:
        """End after the frame that is being predicted."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()

    def of(self, key: FrameId) -> Proposal | None:
        """The proposal for a frame, predicted now where it has not been; None where its picture cannot be read."""
        with self._one:
            if key not in self._said:
                try:
                    self._said[key] = propose(self._predictor(self._pictures.image(key)))
                except InputError:
                    self._said[key] = None
            return self._said[key]

    def doubts(self) -> dict[FrameId, float]:
        """How unsure the model is of the frames that it has seen so far."""
        return {key: proposal.doubt for key, proposal in list(self._said.items()) if proposal is not None}

    @property
    def finished(self) -> bool:
        """Whether all frames are predicted."""
        return len(self._said) >= len(self._frames)

    def _all(self) -> None:
        for key in self._frames:
            if self._stopped.is_set():
                return
            self.of(key)
