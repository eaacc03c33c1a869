"""Counts of edges (cardpose.edges) beside those of the thickness: several views to one count, one count to a clip."""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from cardpose.common.packet import MAX_CARDS
from cardpose.fusion.clips import BOTH, EDGES, THICKNESS, Clip, Flag
from cardpose.fusion.intervals import Interval

MIN_SIDE = 1200
"""Longer side of a frame, in pixels, below which the pitch is too small to count edges, however near the camera is."""
LOOKED_AT = (Flag.GOOD, Flag.CUT_OFF)
"""Frames with a box."""

SURE = 0.9
"""Probability above which a count is exact as far as anyone can know: no interval."""
LIKELY = 0.5
"""Probability above which the edges choose the number within the range of the thickness."""

Vote = tuple[int, float]
"""A count and the probability that it is exact."""


class Ballot:
    """One count of several views of the same packet: sides of a frame, or frames of a clip.

    Each vote weighs its odds. Views of one packet share their errors, so agreement adds nothing to the best of them,
    while disagreement takes away.
    """

    def __init__(self) -> None:
        self._odds: dict[int, float] = {}
        self._best: dict[int, float] = {}

    def add(self, vote: Vote) -> None:
        """Add a view."""
        cards, probability = vote
        self._odds[cards] = self._odds.get(cards, 0.0) + probability / max(1 - probability, 1e-3)
        self._best[cards] = max(self._best.get(cards, 0.0), probability)

    @property
    def winner(self) -> Vote:
        """The count of all views so far; 0 with probability 0 without one."""
        if not self._odds:
            return 0, 0.0
        cards = max(self._odds, key=lambda count: self._odds[count])
        return cards, self._best[cards] * (self._odds[cards] / max(sum(self._odds.values()), 1e-9))


def combine(votes: Iterable[Vote]) -> Vote:
    """The `Ballot` of some votes.

    >>> combine([(20, 0.95), (20, 0.9)])
    (20, 0.95)
    >>> count, probability = combine([(20, 0.95), (21, 0.8)])
    >>> count, round(probability, 2)
    (20, 0.78)
    """
    ballot = Ballot()
    for vote in votes:
        ballot.add(vote)
    return ballot.winner


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


def choose_in_frame(cards: float, interval: Interval | None, vote: Vote | None) -> tuple[float, str]:
    """`choose` for a frame by itself: count and method."""
    low, high = interval.bounds(cards, 1) if interval else (np.nan, np.nan)
    answer, _, _, method = choose(cards, float(low), float(high), vote)
    return answer, method


def with_edges(clip: Clip, vote: Vote) -> Clip:
    """A clip's count by thickness and edges; unchanged without a view, or where no frame shows a packet."""
    if not vote[1] or not clip.frames_used or np.isnan(clip.cards):
        return clip
    cards, low, high, method = choose(clip.cards, clip.low, clip.high, vote)
    return replace(clip, cards=cards, low=low, high=high, method=method)
