"""Lines to a count, and how sure it is.

    counter = EdgeCounter.from_file()
    counter(frame, corners, weights, focal)     an EdgeCount

Every column of a strip votes with its number of marks and of lines at the packet's period. The mode is the strip's
count; its probability to be exact is a logistic regression, fitted to rendered packets that training has not seen.
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
from cardpose.edges.tracing import brightness, find_period, trace_lines
from cardpose.fusion.edge_votes import Vote, combine
from cardpose.models.released import ZOO

FILE = ZOO / "edges.pt"
MIN_PITCH = 2.5
"""Source pixels a nominal card below which nothing is said."""
CARD_RANGE_MM = (0.23, 0.42)
"""Thickness of a card, from the geometry, outside of which the lines are not those of cards."""
FEATURES = 15
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


def read_marks(marks: np.ndarray, seen: np.ndarray, pitch: float, grey: np.ndarray) -> Reading | None:
    """Count the lines of a strip.

    Columns vote twice: with the number of their marks, and with that of the chain of lines at about the period.
    How often the period goes into the inside is a third count, that of the marks' period and that of the brightness':
    it has no vote, as the inside's ends are not good to half a card, but it speaks for or against the others.

    Args:
        marks: (2, rows, columns) probabilities of a centre line and of the inside.
        seen: (columns,) bool.
        pitch: source pixels a nominal card.
        grey: (rows, columns) of `tracing.brightness`.

    Returns:
        None where too few columns show a packet.
    """
    inside = cv2.blur(marks[1], (_GROUP, 1))
    heat = cv2.blur(marks[0], (_GROUP, 1))
    columns = np.flatnonzero(seen & (inside.max(0) > 0.5))
    columns = columns[columns % 2 == 0]
    if len(columns) < _LEAST_COLUMNS:
        return None
    heat, inside, grey = heat[:, columns], inside[:, columns], grey[:, columns]
    padded = np.pad(heat, ((1, 1), (0, 0)))
    peak = (heat > padded[:-2]) & (heat >= padded[2:]) & (inside > _INSIDE)
    marked = (peak & (heat > _PEAK)).sum(0)
    doubtful = (peak & (heat > _DOUBT[0]) & (heat < _DOUBT[1])).sum(0).mean()
    period, _ = find_period(np.stack([heat * inside, grey * inside]))
    own_periods = [find_period((signal * inside)[None]) for signal in (heat, grey)]
    chains = trace_lines(heat, inside, period)
    height = float(np.median((inside > 0.5).sum(0)))
    votes = np.bincount(np.concatenate([marked, chains.counts]), minlength=2) / len(columns)
    votes[0] = 0
    cards = int(np.argmax(votes))
    if cards == 0:
        return None
    own = chains.counts == cards if (chains.counts == cards).any() else np.ones(len(columns), bool)
    span = chains.spans[own].mean() + period if cards > 1 else float(ROWS)
    features = np.array(
        [
            (chains.counts == cards).mean(),
            (np.abs(chains.counts - cards) <= 1).mean(),
            (marked == cards).mean(),
            (np.abs(marked - cards) <= 1).mean(),
            chains.least[own].mean(),
            chains.mean[own].mean(),
            min(doubtful, 5.0),
            math.log(pitch),
            min(abs(math.log(span / cards / ROWS)), 1.0),
            *(min(abs(height / p - cards), 3.0) for p, _ in own_periods),
            *(share for _, share in own_periods),
            min(abs(math.log(own_periods[0][0] / own_periods[1][0])), 0.5),
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
        return read_marks(self.marks(strip), seen, strip.pitch, brightness(strip.image))

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
