"""Counts of edges (cardpose.edges) beside those of the thickness: several views to one count, one count to a clip."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from cardpose.common.packet import MAX_CARDS
from cardpose.fusion.clips import BOTH, EDGES, THICKNESS, Clip

SURE = 0.9
"""Probability above which a count is exact as far as anyone can know: no interval."""
LIKELY = 0.5
"""Probability above which the edges choose the number within the range of the thickness."""

Vote = tuple[int, float]
"""A count and the probability that it is exact."""


def combine(votes: Sequence[Vote]) -> Vote:
    """One count of several views of the same packet: sides of a frame, or frames of a clip.

    Each vote weighs its odds. Views of one packet share their errors, so agreement adds nothing to the best of them,
    while disagreement takes away.

    >>> combine([(20, 0.95), (20, 0.9)])
    (20, 0.95)
    >>> count, probability = combine([(20, 0.95), (21, 0.8)])
    >>> count, round(probability, 2)
    (20, 0.78)
    """
    odds: dict[int, float] = {}
    best: dict[int, float] = {}
    for cards, probability in votes:
        odds[cards] = odds.get(cards, 0.0) + probability / max(1 - probability, 1e-3)
        best[cards] = max(best.get(cards, 0.0), probability)
    cards = max(odds, key=lambda count: odds[count])
    return cards, best[cards] * (odds[cards] / max(sum(odds.values()), 1e-9))


def choose(cards: float, low: float, high: float, vote: Vote | None) -> tuple[float, float, float, str]:
    """One answer of both: count, interval and method.

    Args:
        cards, low, high: by the thickness; the interval may be NaN.
        vote: of the edges; None: they say nothing.

    >>> choose(21.4, 19.0, 24.0, (23, 0.97))
    (23.0, 23.0, 23.0, 'edges')
    >>> choose(21.4, 19.0, 24.0, (23, 0.7))
    (23.0, 19.0, 24.0, 'both')
    >>> choose(21.4, 19.0, 24.0, (30, 0.7))
    (21.4, 19.0, 24.0, 'thickness')
    """
    if vote and 1 <= vote[0] <= MAX_CARDS:
        count = float(vote[0])
        if vote[1] > SURE:
            return count, count, count, EDGES
        if vote[1] > LIKELY and low <= count <= high:
            return count, low, high, BOTH
    return cards, low, high, THICKNESS


def with_edges(clip: Clip, votes: Sequence[Vote]) -> Clip:
    """A clip's count by thickness and edges; unchanged without votes, or where no frame shows a packet."""
    if not votes or not clip.frames_used or np.isnan(clip.cards):
        return clip
    cards, low, high, method = choose(clip.cards, clip.low, clip.high, combine(votes))
    return replace(clip, cards=cards, low=low, high=high, method=method)
