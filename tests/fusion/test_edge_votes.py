"""Counts of edges beside the thickness."""

import numpy as np
import pytest

from cardpose.fusion.clips import Clip
from cardpose.fusion.edge_votes import choose, combine, with_edges

CLIP = Clip(21.4, 19.0, 24.0, np.zeros(3, int), np.ones(3, bool))


def test_without_votes_nothing_changes() -> None:
    assert with_edges(CLIP, combine([])) is CLIP
    assert with_edges(CLIP, (23, 0.4)) == CLIP


def test_sure_edges_have_no_interval() -> None:
    clip = with_edges(CLIP, combine([(23, 0.95), (23, 0.8)]))
    assert (clip.cards, clip.low, clip.high, clip.method) == (23, 23, 23, "edges")
    assert str(clip) == "23.0 cards (edges counted), from 3 of 3 frames"


def test_likely_edges_choose_within_the_range_of_the_thickness() -> None:
    clip = with_edges(CLIP, (23, 0.7))
    assert (clip.cards, clip.low, clip.high, clip.method) == (23, 19, 24, "both")


def test_edges_do_not_speak_for_a_clip_without_a_packet() -> None:
    empty = Clip(np.nan, np.nan, np.nan, np.ones(3, int), np.zeros(3, bool))
    assert with_edges(empty, (23, 0.99)) is empty


@pytest.mark.parametrize("vote", [None, (0, 0.99), (105, 0.99), (30, 0.7)])
def test_what_the_edges_may_not_say(vote: tuple[int, float] | None) -> None:
    assert choose(21.4, 19.0, 24.0, vote)[3] == "thickness"


def test_frames_that_disagree_are_less_sure_than_the_best() -> None:
    assert combine([(20, 0.95), (21, 0.95)])[1] == pytest.approx(0.475)
    assert combine([(20, 0.95), (20, 0.6), (21, 0.3)])[0] == 20
