"""Marks to a count, and how sure it is.

    counter = EdgeCounter.from_file()
    counter(frame, box, focal)     an EdgeCount

Several estimates speak for or against each count of a strip: the best chain of so many lines in every column and in
their mean, how many columns prefer it, the integral of the local rate over the inside, and the inside divided by the
period of the brightness. A logistic choice weighs them, a second one says how probable it is that the chosen count is
exact; both are fitted to rendered packets that the network has not seen (`cardpose.edges.calibration`).
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cardpose.common.errors import InputError
from cardpose.common.packet import MAX_CARDS
from cardpose.edges.strips import CARD_MM, ROWS, Strip, cut_strip, find_sides
from cardpose.edges.tracing import INSIDE, STRIDE, Mark, brightness, find_period, score_counts
from cardpose.fusion.edge_votes import Vote, combine
from cardpose.geometry.box_fit import BoxFit
from cardpose.models.metadata import KEY
from cardpose.models.released import ZOO
from cardpose.models.session import open_session

FILE = ZOO / "edges.onnx"
"""Written by `cardpose.deploy.release_edges`; its one input is (1, 3, rows, COLUMNS) float32."""
MIN_PITCH = 2.5
"""Source pixels a nominal card below which nothing is said."""
CARD_RANGE_MM = (0.23, 0.42)
"""Thickness of a card, from the geometry, outside of which the lines are not those of cards."""
CHOICE = 7
"""Estimates that speak for a count."""
FEATURES = 12
"""Features that decide whether a count is exact."""
CERTAIN = 0.97
"""Probability above which one side needs no second."""
_LEAST_COLUMNS = 2
_NEAR = 8  # counts around the best one that are weighed
_WEAK, _DISAGREE = 0.5, 0.5
_SILENT = 0.1
_PLAIN = np.array([1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.5])  # without a calibration


@dataclass(frozen=True)
class EdgeCount:
    """The count of one frame by its edges.

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
class Evidence:
    """Evidence of a strip for each count.

    Args:
        counts: (n,) the candidates.
        choice: (n, CHOICE) features of each.
        agreement: (n,) share of the columns that prefer each.
        strength: mean log-odds that speak for a card of the best chain.
        height: rows of the inside.
        period: rows of the brightness' period, and the share of the power near it.
        pitch: source pixels a nominal card.
    """

    counts: np.ndarray
    choice: np.ndarray
    agreement: np.ndarray
    strength: float
    height: float
    period: tuple[float, float]
    pitch: float


@dataclass(frozen=True)
class StripCount:
    """The count of one strip, the mean thickness of its cards by the geometry, and its features (FEATURES,)."""

    cards: int
    card_mm: float
    features: np.ndarray
    evidence: Evidence


def weigh_counts(marks: np.ndarray, seen: np.ndarray, pitch: float, grey: np.ndarray) -> Evidence | None:
    """Weigh the counts that a strip may have.

    Args:
        marks: (3, rows, columns) of the network.
        seen: (columns,) bool.
        pitch: source pixels a nominal card.
        grey: (rows, columns) of `tracing.brightness`.

    Returns:
        None where too few columns show a packet.
    """
    columns = np.flatnonzero(seen & (marks[INSIDE].max(0) > 0))
    if len(columns) < _LEAST_COLUMNS:
        return None
    marks, grey = marks[:, :, columns], grey[:, columns]
    mean = marks.mean(2, keepdims=True)
    line, inside, rate = np.concatenate([marks, mean], 2)
    most = min(MAX_CARDS + 1, len(line) // 4)
    scores = score_counts(line, inside, rate, most)
    # Columns that see much less of the packet than the others, behind a finger, have no vote.
    share = (1 + np.tanh(inside / 2)) / 2  # the logistic function, without overflow
    heights = share.sum(0)
    own = heights[:-1] > 0.6 * np.median(heights[:-1])
    together = scores[:, :-1][:, own].mean(1)
    together[0] = -np.inf
    top = int(np.argmax(together + scores[:, -1]))
    counts = np.arange(max(1, top - _NEAR), min(most, top + _NEAR) + 1)
    votes = np.argmax(scores[1:, :-1][:, own], 0) + 1
    integrals = (share * np.exp(np.clip(rate, -0.6, 0.6))).sum(0) / ROWS
    integral = float(np.median(integrals[:-1][own]))
    height = float(np.median(heights[:-1][own]))
    period = find_period(grey[:, own] * share[:, :-1][:, own])
    agreement = (votes[:, None] == counts).mean(0)
    by_integral, by_period = np.abs(integral - counts), np.abs(height / period[0] - counts)
    choice = np.stack(
        [
            together[counts] - together[counts].max(),
            scores[counts, -1] - scores[counts, -1].max(),
            agreement,
            -np.minimum(by_integral, 3),
            -(np.minimum(by_integral, 3) ** 2),
            -np.minimum(by_period, 1.5),
            -np.minimum(by_period, 4),
        ],
        1,
    )
    strength = float(together[top] + scores[top, -1]) / 2 / top
    return Evidence(counts, choice, agreement, strength, height, period, pitch)


def choose(evidence: Evidence, weights: np.ndarray) -> StripCount:
    """The count that the estimates, weighed by (CHOICE,), speak for most."""
    odds = evidence.choice @ weights
    share = np.exp(odds - odds.max())
    share /= share.sum()
    best = int(np.argmax(share))
    cards, own = int(evidence.counts[best]), evidence.choice[best]
    second = np.sort(share)[-2] if len(share) > 1 else 0.0
    features = np.array(
        [
            np.clip(math.log(share[best] / max(1 - share[best], 1e-4)), -6, 8),
            math.log(max(second, 1e-4)),
            evidence.agreement[best],
            evidence.agreement[max(0, best - 1) : best + 2].sum(),
            max(own[0], -4),
            max(own[1], -4),
            own[3],
            own[6],
            min(evidence.strength, 8.0),
            evidence.period[1],
            math.log(evidence.pitch),
            math.log(cards),
        ]
    )
    return StripCount(cards, evidence.height / cards / ROWS * CARD_MM, features, evidence)


class EdgeCounter:
    """Counts the edges in frames.

    Args:
        mark: what marks the lines of a strip.
        choice: (CHOICE,) weights of the estimates; None: plain ones.
        weights: (FEATURES + 1,) of the logistic regression, the constant last; None: not calibrated, never sure.
    """

    def __init__(
        self, mark: Mark, choice: np.ndarray | None = None, weights: np.ndarray | None = None
    ) -> None:
        self.mark, self.weights = mark, weights
        self.choice = _PLAIN if choice is None else choice

    @classmethod
    def from_file(cls, path: Path = FILE) -> "EdgeCounter":
        """Open the network of the zoo.

        Raises:
            InputError: no such file, or not one of `cardpose.deploy.release_edges`.
        """
        session = open_session(path, "run python -m cardpose.deploy.release_edges")
        try:
            about = json.loads(session.get_modelmeta().custom_metadata_map[KEY])
            choice, weights = (np.array(about[name], float) for name in ("choice", "calibration"))
        except (ValueError, TypeError, KeyError):
            choice = weights = np.zeros(0)
        if (choice.shape, weights.shape) != ((CHOICE,), (FEATURES + 1,)):
            raise InputError(
                f"{path}: not the counter of edges of this version: run python -m cardpose.deploy.release_edges"
            )
        name = session.get_inputs()[0].name

        def mark(strip: np.ndarray) -> np.ndarray:
            planes = np.ascontiguousarray(strip.transpose(2, 0, 1)[None])
            return np.asarray(session.run(None, {name: planes})[0][0])

        return cls(mark, choice, weights)

    def weigh(self, strip: Strip) -> Evidence | None:
        """Evidence of a strip for each count; None: no packet."""
        seen = strip.seen.reshape(-1, STRIDE).all(1)
        return weigh_counts(
            self.mark(strip.image), np.asarray(seen), strip.pitch, brightness(strip.image, STRIDE)
        )

    def read(self, strip: Strip) -> StripCount | None:
        """Count the lines of a strip; None: no packet."""
        evidence = self.weigh(strip)
        return choose(evidence, self.choice) if evidence else None

    def probability(self, reading: StripCount) -> float:
        """That a strip's count is exact."""
        if self.weights is None:
            return 0.0
        return float(1 / (1 + np.exp(-(reading.features @ self.weights[:-1] + self.weights[-1]))))

    def __call__(self, image: np.ndarray, box: BoxFit[np.ndarray], focal: float) -> EdgeCount:
        """Count the edges of a frame.

        The second side is read only where the first one is not sure of itself.

        Args:
            image: (H, W, 3) uint8 RGB, the source frame.
            box, focal: as of `strips.find_sides`.
        """
        sides = find_sides(box, (image.shape[1], image.shape[0]), focal)[:2]
        if not sides:
            return EdgeCount(0, 0.0, math.nan, "no side visible")
        pitch = sides[0].pitch
        if pitch < MIN_PITCH:
            return EdgeCount(0, 0.0, pitch, "too few pixels a card")
        votes: list[Vote] = []
        reason = "no edges of cards"
        for side in (side for side in sides if side.pitch >= MIN_PITCH):
            reading = self.read(cut_strip(image, side))
            if not reading or not CARD_RANGE_MM[0] < reading.card_mm < CARD_RANGE_MM[1]:
                continue
            probability = self.probability(reading)
            if probability < _SILENT:
                reason = "blurred" if reading.evidence.strength < _WEAK else "columns disagree"
                continue
            votes.append((reading.cards, probability))
            if probability > CERTAIN:
                break
        return EdgeCount(*combine(votes), pitch) if votes else EdgeCount(0, 0.0, pitch, reason)
