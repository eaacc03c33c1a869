"""Lines to a count, and how sure it is.

    counter = EdgeCounter.from_file()
    counter(frame, corners, weights, focal)     an EdgeCount

Every column of a strip votes with its number of lines. The mode is the strip's count; its probability to be exact is a
logistic regression, fitted to rendered packets that the network was not trained on.
"""

import math
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch

from cardpose.common.errors import InputError
from cardpose.edges.network import EdgeNetwork
from cardpose.edges.strips import CARD_MM, ROWS, Strip, cut_strip, find_sides
from cardpose.fusion.edge_votes import Vote, combine
from cardpose.models.released import ZOO

FILE = ZOO / "edges.pt"
MIN_PITCH = 2.5
"""Source pixels a nominal card below which nothing is said."""
CARD_RANGE_MM = (0.23, 0.42)
"""Thickness of a card, from the geometry, outside of which the lines are not those of cards."""
FEATURES = 9
ALONE = 0.97
"""Probability above which one side needs no second."""
_PEAK = 0.35
_DOUBT = (0.12, 0.65)
_INSIDE = 0.3
_GROUP = 7  # columns of the marks that are averaged before peaks are found
_LEAST_COLUMNS = 5


@dataclass(frozen=True)
class EdgeCount:
    """What the edges say about one frame.

    Args:
        cards: the count; 0 where nothing can be said.
        probability: that it is exact, 0 to 1.
        pitch: source pixels a nominal card; NaN without a side.
        reason: why nothing is said; "" where something is.
    """

    cards: int
    probability: float
    pitch: float
    reason: str = ""

    @property
    def vote(self) -> Vote | None:
        """Count and probability; None where nothing is said."""
        return None if self.reason else (self.cards, self.probability)


@dataclass(frozen=True)
class Reading:
    """The count of one strip, the mean thickness of its cards by the geometry, and what speaks for it (FEATURES,)."""

    cards: int
    card_mm: float
    features: np.ndarray


def read_marks(marks: np.ndarray, seen: np.ndarray, pitch: float) -> Reading | None:
    """Count the lines of a strip.

    Args:
        marks: (2, rows, columns) probabilities of a centre line and of the inside.
        seen: (columns,) bool.
        pitch: source pixels a nominal card.

    Returns:
        None where too few columns show a packet.
    """
    inside = cv2.blur(marks[1], (_GROUP, 1))
    smooth = cv2.blur(marks[0], (_GROUP, 1)) * (inside > _INSIDE)
    columns = np.flatnonzero(seen & (inside.max(0) > 0.5))
    columns = columns[columns % 2 == 0]
    if len(columns) < _LEAST_COLUMNS:
        return None
    heat = smooth[:, columns]
    padded = np.pad(heat, ((1, 1), (0, 0)))
    peak = (heat > padded[:-2]) & (heat >= padded[2:])
    lines = peak & (heat > _PEAK)
    counts = lines.sum(0)
    values, votes = np.unique(counts, return_counts=True)
    cards = int(values[np.argmax(votes)])
    if cards == 0:
        return None
    own = np.flatnonzero(counts == cards)
    # Strength and spacing of the lines in the columns that agree.
    rows = np.stack([np.flatnonzero(lines[:, c]) for c in own]).astype(float)  # (k, cards)
    height = np.stack([np.sort(heat[lines[:, c], c]) for c in own]).mean(0)
    doubtful = (peak & (heat > _DOUBT[0]) & (heat < _DOUBT[1]))[:, own].sum(0).mean()
    step = np.median(np.diff(rows, axis=1), 0) if cards > 1 else np.array([float(ROWS)])
    typical = float(np.median(step))
    span = (rows[:, -1] - rows[:, 0]).mean() + typical
    features = np.array(
        [
            votes.max() / votes.sum(),
            (np.abs(counts - cards) <= 1).mean(),
            height[: max(1, cards // 10)].mean(),
            height.mean(),
            min(doubtful, 5.0),
            math.log(pitch),
            min(abs(math.log(span / cards / ROWS)), 1.0),
            min(float(step.max()) / typical, 3.0) + min(typical / max(float(step.min()), 1.0), 3.0),
            math.log(cards),
        ]
    )
    return Reading(cards, span / cards / ROWS * CARD_MM, features)


class EdgeCounter:
    """Counts the edges in frames.

    Args:
        network: in evaluation mode.
        weights: (FEATURES + 1,) of the logistic regression, the constant last; None: not calibrated, never sure.
    """

    def __init__(self, network: EdgeNetwork, weights: np.ndarray | None) -> None:
        self.network, self.weights = network.eval(), weights

    @classmethod
    def from_file(cls, path: Path = FILE) -> "EdgeCounter":
        """Read the network of the zoo, without running any code of the file.

        Raises:
            InputError: no such file, or not one of `cardpose.edges.training`.
        """
        try:
            held = torch.load(path, map_location="cpu", weights_only=True)
            network = EdgeNetwork()
            network.load_state_dict(held["state_dict"])
            weights = held.get("calibration")
        except Exception as error:  # torch raises many types for a damaged file
            raise InputError(
                f"{path}: not the weights of cardpose.edges: run python -m cardpose.edges.training"
            ) from error
        return cls(network, None if weights is None else weights.double().numpy())

    def marks(self, strip: Strip) -> np.ndarray:
        """(2, rows, COLUMNS / 2) probabilities of a centre line and of the inside."""
        with torch.inference_mode():
            image = torch.from_numpy(strip.image).permute(2, 0, 1)[None]
            return self.network(image)[0].sigmoid().numpy()

    def read(self, strip: Strip) -> Reading | None:
        """Count the lines of a strip."""
        seen = strip.seen[::2] & strip.seen[1::2]
        return read_marks(self.marks(strip), seen, strip.pitch)

    def probability(self, reading: Reading) -> float:
        """That a strip's count is exact."""
        if self.weights is None:
            return 0.0
        return float(1 / (1 + np.exp(-(reading.features @ self.weights[:-1] + self.weights[-1]))))

    def __call__(
        self, image: np.ndarray, corners: np.ndarray, weights: np.ndarray, focal: float
    ) -> EdgeCount:
        """Count the edges of a frame.

        The second side is read only where the first one is not sure of itself.

        Args:
            image: (H, W, 3) uint8 RGB, the source frame.
            corners, weights, focal: as of `strips.find_sides`.
        """
        sides = find_sides(corners, weights, (image.shape[1], image.shape[0]), focal)[:2]
        if not sides:
            return EdgeCount(0, 0.0, math.nan, "no side visible")
        pitch = sides[0].pitch
        if pitch < MIN_PITCH:
            return EdgeCount(0, 0.0, pitch, "too few pixels a card")
        votes: list[Vote] = []
        for side in (side for side in sides if side.pitch >= MIN_PITCH):
            reading = self.read(cut_strip(image, side))
            if reading and CARD_RANGE_MM[0] < reading.card_mm < CARD_RANGE_MM[1]:
                votes.append((reading.cards, self.probability(reading)))
            if votes and votes[-1][1] > ALONE:
                break
        return EdgeCount(*combine(votes), pitch) if votes else EdgeCount(0, 0.0, pitch, "no edges of cards")
