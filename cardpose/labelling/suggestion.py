"""Which frames are most worth a label: those that the model is unsure of, that contradict their neighbours in time, and
that look unlike what is labelled already.

    seen = Observations...              what the model says of candidates, their neighbours and the labelled frames
    ranked = rank(seen, n)              the frames to label, the most worth first

Scores are ranks among the candidates, 0 to 1, so that no unit outweighs another.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from cardpose.common.packet import CORNERS
from cardpose.fusion.clips import FOUND, Flag, corner_uncertainty, frame_uncertainty
from cardpose.prediction.backends import TorchBackend
from cardpose.prediction.predictor import FramePrediction

_LEAST = 1e-6  # so that a row of no worth, or like another, may still be picked last

GAP = 3
"""Frames from a frame to its neighbour, at most, for its corners to be held against that."""
WINDOW = 2
"""Frames before and after that a frame's count is held against."""


class Features:
    """The deepest features of a network at work, averaged over the picture: what it sees, in few numbers.

    Args:
        backend: whose network is listened to.
    """

    def __init__(self, backend: TorchBackend) -> None:
        self._kept: list[np.ndarray] = []
        backend.module.net.encoder.register_forward_hook(self._keep)

    def _keep(self, module: object, arguments: object, features: Sequence[Tensor]) -> None:
        self._kept.append(features[-1].detach().float().mean((2, 3)).cpu().numpy())

    def take(self) -> np.ndarray:
        """(N, D) float32 of the pictures since the last call."""
        kept, self._kept = self._kept, []
        return np.concatenate(kept) if kept else np.empty((0, 0), np.float32)


@dataclass(frozen=True)
class Observations:
    """What the model says of the N frames of one video, in their order.

    Args:
        index: (N,) which frames.
        corners: (N, 8, 2) in source pixels.
        confidence: (N, 8) heights of the heatmaps' peaks, 0 to 1.
        visibility: (N, 8) probability that a corner is visible.
        cards: (N,) estimated counts.
        flag: (N,) a `clips.Flag` each.
        features: (N, D).
    """

    index: np.ndarray
    corners: np.ndarray
    confidence: np.ndarray
    visibility: np.ndarray
    cards: np.ndarray
    flag: np.ndarray
    features: np.ndarray

    @classmethod
    def of(
        cls, index: Sequence[int], said: Sequence[FramePrediction], features: np.ndarray
    ) -> "Observations":
        """Put predictions together."""
        return cls(
            np.array(index),
            np.stack([one.corners for one in said]),
            np.stack([one.confidence for one in said]),
            np.stack([one.visibility for one in said]),
            np.array([one.cards for one in said]),
            np.array([int(one.flag) for one in said]),
            features,
        )


@dataclass(frozen=True)
class Suggestion:
    """A frame to label.

    Args:
        video, frame_index: which.
        score: how much it is worth, 0 to 1, of uncertainty and disagreement.
        uncertainty, disagreement: what it is made of, 0 to 1.
        distance: from what is labelled or stands before it in the list, in the network's features; 1 is that of two
            frames picked at random.
        why: the strongest reason, for a person.
    """

    video: str
    frame_index: int
    score: float
    uncertainty: float
    disagreement: float
    distance: float
    why: str


def uncertainty(seen: Observations) -> np.ndarray:
    """(N,) how unsure the model is of each frame, 0 to 1."""
    return frame_uncertainty(seen.confidence, seen.visibility, seen.flag)


def count_jump(seen: Observations) -> np.ndarray:
    """(N,) cards between a frame's count and the median of those about it: a video has one count."""
    around = [np.median(seen.cards[max(0, i - WINDOW) : i + WINDOW + 1]) for i in range(len(seen.cards))]
    return np.abs(seen.cards - np.array(around))


def corner_jump(seen: Observations) -> np.ndarray:
    """(N,) root mean square distance in pixels of a frame's corners from where they are between its neighbours.

    Over the corners that are found in all three, by the time that parts them; 0 at the ends, where there is none, and
    where the neighbours are so far that a moving camera is more than a straight line between them.
    """
    jumps = np.zeros(len(seen.index))
    for i in range(1, len(seen.index) - 1):
        before, now, after = seen.index[i - 1 : i + 2]
        share = (now - before) / (after - before)
        between = (1 - share) * seen.corners[i - 1] + share * seen.corners[i + 1]
        close = after - before <= 2 * GAP
        found = close & (seen.confidence[i - 1 : i + 2] > FOUND).all(0)
        if found.any():
            away = np.square(seen.corners[i] - between).sum(1)[found]
            jumps[i] = np.sqrt(away.mean())
    return jumps


def ranks(values: np.ndarray) -> np.ndarray:
    """Share of the others that are smaller, 0 to 1; equal values have equal ranks.

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
    """The `n` frames most worth a label.

    One after the other: the frame with the largest product of its score and its distance from the nearest frame that is
    labelled or chosen before it, in the network's features (k-center greedy of Sener and Savarese, Active Learning for
    Convolutional Neural Networks: A Core-Set Approach, 2018, weighted).

    Args:
        videos: what the model says of each video's frames.
        candidates: frames of each video that may be chosen.
        labelled: frames of each video that are labelled.
        n: how many; fewer where there are not so many candidates.
    """
    table = [
        (video, seen, i)
        for video, seen in videos.items()
        for i in range(len(seen.index))
        if int(seen.index[i]) in candidates.get(video, ())
    ]
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
    """A measure of every row of the table."""
    by_video = {video: measure(seen) for video, seen in videos.items()}
    return np.array([by_video[video][i] for video, _, i in table])


def choose(
    score: np.ndarray, features: np.ndarray, known: np.ndarray, n: int
) -> tuple[list[int], list[float]]:
    """Pick rows that are worth much and unlike what there is.

    Args:
        score: (N,) worth of each row, from 0.
        features: (N, D).
        known: (M, D) features of what there is already.
        n: how many rows.

    Returns:
        The rows in the order in which they are picked, at most N, and the distance of each from the nearest known or
        earlier one; 1 is that of two rows picked at random. Where nothing is known the first has 1.

    >>> choose(np.array([0.9, 0.8, 0.1]), np.array([[0.0], [0.1], [5.0]]), np.array([]).reshape(0, 1), 2)[0]
    [0, 2]
    """
    everything = np.concatenate([features, known])
    spread = everything.std(0)
    scale = np.where(spread > 0, spread, 1.0) * np.sqrt(2 * max(int((spread > 0).sum()), 1))
    points, there = features / scale, known / scale
    near = np.full(len(points), np.inf)
    for other in there:
        near = np.minimum(near, np.linalg.norm(points - other, axis=1))
    near = np.where(np.isinf(near), 1.0, near)
    left = np.ones(len(points), bool)
    order, distances = [], []
    for _ in range(min(n, len(points))):
        worth = np.where(left, (score + _LEAST) * (near + _LEAST), -1.0)
        best = int(worth.argmax())
        order.append(best)
        distances.append(float(near[best]))
        left[best] = False
        near = np.minimum(near, np.linalg.norm(points - points[best], axis=1))
    return order, distances


def _why(parts: Mapping[str, float], seen: Observations, row: int, cards: float, pixels: float) -> str:
    """The strongest reason, in words."""
    flag = Flag(int(seen.flag[row]))
    if flag in (Flag.NO_PACKET, Flag.NO_BOX):
        return flag.label
    strongest = max(parts, key=lambda part: parts[part])
    if strongest == "cards" and cards > 0:
        return f"the count is {cards:.1f} cards from its neighbours'"
    if strongest == "pixels" and pixels > 0:
        return f"the corners are {pixels:.1f} px from the way between its neighbours"
    worst = int(corner_uncertainty(seen.confidence[row], seen.visibility[row]).argmax())
    height, visible = seen.confidence[row, worst], seen.visibility[row, worst]
    return f"unsure of {CORNERS[worst]}: peak {height:.2f}, visible {visible:.0%}"
