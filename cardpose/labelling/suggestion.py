"""Ranks frames by what their label would add to a model (active learning).

A frame is valuable if the model is uncertain about it, if its prediction disagrees with its neighbours in time, and if
it looks different from the labelled frames. Scores are ranks among the candidates, 0 to 1, so that units do not matter.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from cardpose.common.packet import CORNERS
from cardpose.fusion.clips import Flag, corner_uncertainty, frame_uncertainty
from cardpose.prediction.records import Prediction
from cardpose.prediction.torch_backend import TorchBackend

_EPSILON = 1e-6  # so that rows of score or distance 0 are picked last, not never

GAP = 3
"""Largest distance in frames to a neighbour with which corners are compared."""
WINDOW = 2
"""Frames before and after with which a count is compared."""


class Features:
    """Records the deepest encoder features of a network, averaged over the picture, while it predicts."""

    def __init__(self, backend: TorchBackend) -> None:
        self._recorded: list[np.ndarray] = []
        backend.module.net.encoder.register_forward_hook(self._record)

    def _record(self, module: object, arguments: object, features: Sequence[Tensor]) -> None:
        self._recorded.append(features[-1].detach().float().mean((2, 3)).cpu().numpy())

    def take(self) -> np.ndarray:
        """Features (N, D) float32 of the pictures since the last call."""
        recorded, self._recorded = self._recorded, []
        return np.concatenate(recorded) if recorded else np.empty((0, 0), np.float32)


@dataclass(frozen=True)
class Observations:
    """Predictions for N frames of one video, in order.

    Args:
        index: (N,) frame indices.
        corners: (N, 8, 2) in source pixels.
        confidence: (N, 8) peak heights of the heatmaps, 0 to 1.
        found: (N, 8) bool, whether the corner was found.
        visibility: (N, 8) probability that a corner is visible.
        cards: (N,) estimated counts.
        flag: (N,) values of `clips.Flag`.
        features: (N, D).
    """

    index: np.ndarray
    corners: np.ndarray
    confidence: np.ndarray
    found: np.ndarray
    visibility: np.ndarray
    cards: np.ndarray
    flag: np.ndarray
    features: np.ndarray

    @classmethod
    def of(
        cls, index: Sequence[int], predictions: Sequence[Prediction], features: np.ndarray
    ) -> "Observations":
        """Stack predictions."""
        names = ("corners", "confidence", "found", "visibility", "cards", "flag")
        columns = {name: np.array([getattr(one, name) for one in predictions]) for name in names}
        return cls(index=np.array(index), features=features, **columns)


@dataclass(frozen=True)
class Suggestion:
    """A frame to label.

    Args:
        score: mean of uncertainty and disagreement, 0 to 1.
        uncertainty, disagreement: ranks among the candidates, 0 to 1.
        distance: in the network's features, to the nearest frame that is labelled or suggested earlier; 1 is the
            distance of two random frames.
        why: the main reason, in words.
    """

    video: str
    frame_index: int
    score: float
    uncertainty: float
    disagreement: float
    distance: float
    why: str


def uncertainty(seen: Observations) -> np.ndarray:
    """Uncertainty (N,) of each frame, 0 to 1."""
    return frame_uncertainty(seen.confidence, seen.visibility, seen.flag)


def count_jump(seen: Observations) -> np.ndarray:
    """Difference (N,) in cards between each count and the median of its neighbours; a video has one count."""
    around = [np.median(seen.cards[max(0, i - WINDOW) : i + WINDOW + 1]) for i in range(len(seen.cards))]
    return np.abs(seen.cards - np.array(around))


def corner_jump(seen: Observations) -> np.ndarray:
    """RMS distance (N,) in pixels of each frame's corners from the linear interpolation of its neighbours'.

    Over the corners found in all three frames. 0 for the first and the last frame, without common corners, and if the
    neighbours are too far apart for the camera's motion to be linear.
    """
    jumps = np.zeros(len(seen.index))
    for i in range(1, len(seen.index) - 1):
        before, now, after = seen.index[i - 1 : i + 2]
        share = (now - before) / (after - before)
        between = (1 - share) * seen.corners[i - 1] + share * seen.corners[i + 1]
        close = after - before <= 2 * GAP
        found = close & seen.found[i - 1 : i + 2].all(0)
        if found.any():
            squared = np.square(seen.corners[i] - between).sum(1)[found]
            jumps[i] = np.sqrt(squared.mean())
    return jumps


def ranks(values: np.ndarray) -> np.ndarray:
    """Share of the other values that are smaller, 0 to 1; equal values have equal ranks.

    >>> ranks(np.array([3.0, 1.0, 2.0, 1.0])).tolist()
    [1.0, 0.0, 0.6666666666666666, 0.0]
    """
    return np.searchsorted(np.sort(values), values) / max(len(values) - 1, 1)


def rank(
    videos: Mapping[str, Observations],
    candidates: Mapping[str, set[int]],
    labelled: Mapping[str, set[int]],
    n: int,
) -> list[Suggestion]:
    """The `n` most valuable frames, best first; fewer if there are fewer candidates.

    Greedy: the next frame has the largest product of its score and its distance, in the network's features, to the
    nearest frame that is labelled or already chosen (the k-center algorithm of Sener and Savarese, Active Learning for
    Convolutional Neural Networks: A Core-Set Approach, 2018, weighted by the score).

    Args:
        videos: predictions for the frames of each video: candidates, their neighbours and labelled frames.
        candidates: frames of each video that may be chosen.
        labelled: labelled frames of each video.
    """
    table = [
        (video, seen, i)
        for video, seen in videos.items()
        for i in range(len(seen.index))
        if int(seen.index[i]) in candidates.get(video, ())
    ]
    # Ranks of the three measures among the candidates.
    doubt = _column(table, videos, uncertainty)
    cards, pixels = _column(table, videos, count_jump), _column(table, videos, corner_jump)
    unsure, apart = ranks(doubt), np.maximum(ranks(cards), ranks(pixels))
    score = (unsure + apart) / 2
    features = np.stack([seen.features[i] for _, seen, i in table])
    known = [
        seen.features[i]
        for video, seen in videos.items()
        for i in range(len(seen.index))
        if int(seen.index[i]) in labelled.get(video, ())
    ]
    order, distances = choose(score, features, np.array(known).reshape(-1, features.shape[1]), n)
    suggestions = []
    for i, distance in zip(order, distances, strict=True):
        video, seen, row = table[i]
        parts = {"unsure": unsure[i], "cards": ranks(cards)[i], "pixels": ranks(pixels)[i]}
        why = _why(parts, seen, row, cards[i], pixels[i])
        suggestions.append(
            Suggestion(video, int(seen.index[row]), score[i], unsure[i], apart[i], distance, why)
        )
    return suggestions


def _column(
    table: Sequence[tuple[str, Observations, int]],
    videos: Mapping[str, Observations],
    measure: Callable[[Observations], np.ndarray],
) -> np.ndarray:
    """A measure, for every row of the table."""
    by_video = {video: measure(seen) for video, seen in videos.items()}
    return np.array([by_video[video][i] for video, _, i in table])


def choose(
    score: np.ndarray, features: np.ndarray, known: np.ndarray, n: int
) -> tuple[list[int], list[float]]:
    """Pick rows of high score that differ from known and earlier ones.

    Args:
        score: (N,) at least 0.
        features: (N, D) of the rows.
        known: (M, D) features to differ from.

    Returns:
        At most N rows in the order of picking, and the distance of each to the nearest known or earlier one; 1 is the
        distance of two random rows, and that of the first row if nothing is known.

    >>> choose(np.array([0.9, 0.8, 0.1]), np.array([[0.0], [0.1], [5.0]]), np.array([]).reshape(0, 1), 2)[0]
    [0, 2]
    """
    # Scale so that the expected distance of two random rows is 1.
    std = np.concatenate([features, known]).std(0)
    scale = np.where(std > 0, std, 1.0) * np.sqrt(2 * max(int((std > 0).sum()), 1))
    points = features / scale
    # Distance of every row to the nearest known one.
    nearest = np.full(len(points), np.inf)
    for other in known / scale:
        nearest = np.minimum(nearest, np.linalg.norm(points - other, axis=1))
    nearest = np.where(np.isinf(nearest), 1.0, nearest)
    left = np.ones(len(points), bool)
    order, distances = [], []
    for _ in range(min(n, len(points))):
        value = np.where(left, (score + _EPSILON) * (nearest + _EPSILON), -1.0)
        best = int(value.argmax())
        order.append(best)
        distances.append(float(nearest[best]))
        left[best] = False
        nearest = np.minimum(nearest, np.linalg.norm(points - points[best], axis=1))
    return order, distances


def _why(parts: Mapping[str, float], seen: Observations, row: int, cards: float, pixels: float) -> str:
    """The main reason, in words."""
    flag = Flag(int(seen.flag[row]))
    if flag in (Flag.NO_PACKET, Flag.NO_BOX):
        return flag.label
    strongest = max(parts, key=lambda part: parts[part])
    if strongest == "cards" and cards > 0:
        return f"the count is {cards:.1f} cards from its neighbours'"
    if strongest == "pixels" and pixels > 0:
        return f"the corners are {pixels:.1f} px from the line between its neighbours'"
    worst = int(corner_uncertainty(seen.confidence[row], seen.visibility[row]).argmax())
    height, visible = seen.confidence[row, worst], seen.visibility[row, worst]
    return f"uncertain {CORNERS[worst]}: peak {height:.2f}, visible {visible:.0%}"
