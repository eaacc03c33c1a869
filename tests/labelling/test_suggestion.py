"""Frames that are worth a label come first: the unsure, the contradictory, the unlike."""

from dataclasses import replace

import numpy as np
import pytest

from cardpose.fusion.clips import Flag
from cardpose.labelling.suggestion import (
    Observations,
    choose,
    corner_jump,
    count_jump,
    rank,
    ranks,
    uncertainty,
)


def observations(frames: int = 12, step: int = 1) -> Observations:
    """A sure model: a packet that moves evenly, the same count throughout."""
    start = np.arange(16, dtype=float).reshape(8, 2) * 10
    return Observations(
        index=np.arange(frames) * step,
        corners=start + np.arange(frames)[:, None, None] * (2.0, 1.0),
        confidence=np.full((frames, 8), 0.98),
        found=np.ones((frames, 8), bool),
        visibility=np.full((frames, 8), 0.99),
        cards=np.full(frames, 20.0),
        flag=np.zeros(frames, int),
        features=np.random.default_rng(0).normal(size=(frames, 4)),
    )


def changed(seen: Observations, frame: int, **values: float) -> Observations:
    """`seen` with one frame's fields set."""
    fields = {name: getattr(seen, name).copy() for name in values}
    for name, value in values.items():
        fields[name][frame] = value
    return replace(seen, **fields)


def first(seen: Observations, n: int = 1) -> list[int]:
    everything = {"a": {int(index) for index in seen.index}}
    return [one.frame_index for one in rank({"a": seen}, everything, {}, n)]


def test_doubt_is_largest_at_one_half_and_where_there_is_no_box() -> None:
    seen = observations()
    assert uncertainty(seen).max() < 0.05
    for name in ("confidence", "visibility"):
        doubt = uncertainty(changed(seen, 3, **{name: 0.5}))
        assert doubt.argmax() == 3
        assert doubt[3] == 1
        absent = uncertainty(changed(seen, 3, **{name: 0.0}))
        assert absent[3] < 0.05, "surely not there is no doubt"
    for flag, doubtful in ((Flag.NO_BOX, True), (Flag.NO_PACKET, True), (Flag.CUT_OFF, False)):
        assert (uncertainty(changed(seen, 3, flag=flag))[3] == 1) == doubtful


def test_a_count_is_held_against_those_about_it() -> None:
    jump = count_jump(changed(observations(), 5, cards=26.0))
    assert jump[5] == 6
    assert jump[[0, 1, 2, 8, 9]].max() == 0
    drift = replace(observations(), cards=np.linspace(20, 22, 12))
    assert count_jump(drift).max() < 0.5, "a slow drift is no jump"


def test_corners_are_held_against_the_way_between_their_neighbours() -> None:
    seen = observations()
    np.testing.assert_allclose(corner_jump(seen), 0, atol=1e-9)
    corners = seen.corners.copy()
    corners[5] += (3.0, 4.0)
    jump = corner_jump(replace(seen, corners=corners))
    assert jump[5] == pytest.approx(5)
    assert jump[[4, 6]] == pytest.approx(2.5)
    assert corner_jump(changed(replace(seen, corners=corners), 5, found=False)).max() == 0, "not found"
    apart = replace(observations(step=20), corners=corners)
    assert corner_jump(apart).max() == 0, "too long a way for a straight line"
    uneven = replace(seen, index=np.array([0, 1, 2, 3, 4, 7, *range(8, 14)]))
    assert corner_jump(uneven)[5] == pytest.approx(np.hypot(2, 1) / 2)


@pytest.mark.parametrize("fault", [{"confidence": 0.5}, {"cards": 30.0}, {"flag": float(Flag.NO_BOX)}])
def test_the_faulty_frame_comes_first(fault: dict[str, float]) -> None:
    seen = changed(replace(observations(), features=np.zeros((12, 4))), 7, **fault)
    assert first(seen) == [7]


def test_frames_alike_do_not_come_together() -> None:
    """Five equal doubtful frames, and one of another kind that is doubted less: it comes second."""
    seen = observations()
    features = np.zeros((12, 4))
    features[9] = 8.0
    for frame in (2, 3, 4, 5, 6):
        seen = changed(seen, frame, confidence=0.5)
    seen = changed(replace(seen, features=features), 9, confidence=0.7)
    order = first(seen, 12)
    assert order[0] in (2, 3, 4, 5, 6)
    assert order[1] == 9
    assert sorted(order) == list(range(12)), "all of them, each once, where as many are asked for"


def test_what_is_like_the_labelled_frames_waits() -> None:
    features = np.zeros((12, 4))
    features[6:] = 5.0
    seen = changed(changed(replace(observations(), features=features), 2, confidence=0.5), 8, confidence=0.5)
    candidates = {"a": {2, 8}}
    for labelled, expected in (({0, 1}, [8, 2]), ({10, 11}, [2, 8])):
        ranked = rank({"a": seen}, candidates, {"a": labelled}, 2)
        assert [one.frame_index for one in ranked] == expected
        assert ranked[0].distance > ranked[1].distance


def test_only_candidates_are_chosen_and_reasons_given() -> None:
    seen = changed(changed(observations(), 4, cards=27.0), 8, confidence=0.5)
    other = replace(observations(), cards=np.full(12, 40.0))
    candidates = {"a": {4, 8}, "b": {0}}
    ranked = rank({"a": seen, "b": other}, candidates, {}, 50)
    assert {(one.video, one.frame_index) for one in ranked} == {("a", 4), ("a", 8), ("b", 0)}
    why = {(one.video, one.frame_index): one.why for one in ranked}
    assert why["a", 4] == "the count is 7.0 cards from its neighbours'"
    assert why["a", 8].startswith("uncertain upper_left_face: peak 0.50")
    assert ranked[-1].video == "b"


def test_ranks_are_the_share_of_the_smaller() -> None:
    assert ranks(np.array([5.0])).tolist() == [0.0]
    values = np.array([0.3, 0.1, 0.2])
    np.testing.assert_array_equal(ranks(values), ranks(values * 1000 + 3))


def test_choosing_covers_clusters_whatever_the_features_unit() -> None:
    rng = np.random.default_rng(2)
    centres = rng.normal(size=(5, 3)) * 10
    features = np.concatenate([centre + rng.normal(size=(40, 3)) * 0.1 for centre in centres])
    for unit in (1.0, 1000.0):
        order, distances = choose(np.ones(200), features * unit, np.empty((0, 3)), 5)
        assert {row // 40 for row in order} == {0, 1, 2, 3, 4}
        assert distances == sorted(distances, reverse=True)
