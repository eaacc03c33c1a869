from dataclasses import replace

import cv2
import numpy as np
import pytest

from cardpose.common.packet import HIDDEN, VISIBLE
from cardpose.synth.records import Clip, Coin, Finger, Glass, Occluder
from cardpose.synth.rendering import occluders
from cardpose.synth.rendering.box import label
from cardpose.synth.rendering.labels import annotate
from cardpose.synth.sampling.clutter import sample_occluders
from cardpose.synth.sampling.scene import sample_shot

WHITE = np.ones(3)


@pytest.fixture
def clip(make_clip) -> Clip:
    return make_clip(4, cards=30)


def with_one(clip: Clip, occluder: Occluder) -> Clip:
    return replace(clip, occluders=(occluder,))


def coin_on_corner(clip: Clip) -> Coin:
    """A coin about the corner of the top card that comes first."""
    return Coin(clip.packet.corners[0, 1] + [0, 0, 2.0], 9.0, WHITE)


def finger_at(clip: Clip, corner: np.ndarray) -> Finger:
    away = np.append(np.sign(corner[:2]), 0.4)
    return Finger(np.array([corner + 200 * away, corner + 25 * away, corner]), np.full(3, 8.0), WHITE)


@pytest.mark.parametrize("number", range(6))
def test_what_is_covered_is_what_is_drawn(make_clip, scene_config, number: int) -> None:
    """Brute force: the pixels that the occluders paint are those whose middles count as covered."""
    ranges = replace(scene_config.occluders, fingers=1.0, coins=1.0)
    clip = make_clip(number, cards=20)
    clip = replace(clip, occluders=sample_occluders(np.random.default_rng(number), ranges, clip.packet))
    shot = sample_shot(clip, 5)
    front = occluders.in_front(clip, shot)
    image = np.full((480, 640, 3), -1000.0, np.float32)
    occluders.draw(image, front, shot.camera, clip.light)
    rows, columns = np.mgrid[2:480:7, 2:640:7].reshape(2, -1)
    painted = image[rows, columns, 0]
    covered = occluders.covered(np.stack([columns, rows], 1).astype(float), front, shot.camera)
    assert (covered == (painted > -500)).mean() > 0.995  # but for pixels on the very border
    assert covered.any()


def test_a_covered_corner_is_hidden_and_keeps_its_place(clip: Clip) -> None:
    shot = sample_shot(clip, 0)
    free = annotate(clip, shot, "a")
    slot = np.flatnonzero(
        np.linalg.norm(free.corners - shot.camera.project(clip.packet.corners[0, 1]), axis=1) < 0.01
    )[0]
    assert free.visibility[slot] == VISIBLE
    covers = coin_on_corner(clip), finger_at(clip, clip.packet.corners[0, 1])
    for occluder in covers:
        seen = annotate(with_one(clip, occluder), shot, "a")
        assert seen.visibility[slot] == HIDDEN
        np.testing.assert_array_equal(seen.corners, free.corners)


def test_glass_and_what_is_behind_the_packet_hide_nothing(clip: Clip) -> None:
    shot = sample_shot(clip, 0)
    _, visibility = label(clip.packet.corners, shot.camera)
    beyond = -100 * shot.camera.position / np.linalg.norm(shot.camera.position)
    glass = Glass(np.array([0.0, -70, 0]), 35, 110, 1.0)
    coin = Coin(np.append(beyond[:2], 2.0), 10, WHITE)
    for occluder in (glass, coin):
        np.testing.assert_array_equal(annotate(with_one(clip, occluder), shot, "a").visibility, visibility)
    assert occluders.behind(with_one(clip, coin), shot) == [coin]


def test_a_finger_on_the_packet_is_drawn_over_it(clip: Clip) -> None:
    shot = sample_shot(clip, 0)
    top = np.array([0.0, 0, clip.packet.thickness + 6])
    finger = Finger(np.array([[0, 300.0, 100], [0, 30, 40], top]), np.full(3, 8.0), WHITE)
    image = np.zeros((480, 640, 3), np.float32)
    occluders.draw(image, occluders.in_front(with_one(clip, finger), shot), shot.camera, clip.light)
    x, y = np.round(shot.camera.project(top)).astype(int)
    assert image[y, x].min() > 30
    assert cv2.countNonZero(image[..., 0]) < image[..., 0].size / 2


def test_an_arm_that_comes_from_behind_the_camera_reaches_the_border(clip: Clip) -> None:
    shot = sample_shot(clip, 0)
    image, camera = np.zeros((480, 640, 3), np.float32), shot.camera
    tip = np.array([0, 0, clip.packet.thickness + 8])
    right, _, forward = camera.rotation
    shoulder = camera.position - 100 * forward + 80 * right
    finger = Finger(np.array([shoulder, tip]), np.full(2, 8.0), WHITE)
    occluders.draw(image, occluders.in_front(with_one(clip, finger), shot), camera, clip.light)
    border = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
    assert border.max() > 0


@pytest.mark.parametrize("kind", ["fingers", "coins", "glasses"])
def test_shares_decide_what_lies_about(scene_config, clip: Clip, kind: str) -> None:
    kinds = {"fingers": Finger, "coins": Coin, "glasses": Glass}
    ranges = replace(scene_config.occluders, **{kind: 0.5})
    drawn = [sample_occluders(np.random.default_rng(i), ranges, clip.packet) for i in range(300)]
    assert {type(o) for found in drawn for o in found} == {kinds[kind]}
    assert 0.4 < np.mean([len(found) > 0 for found in drawn]) < 0.6


def test_things_on_the_table_stand_off_the_packet(scene_config, clip: Clip) -> None:
    ranges = replace(scene_config.occluders, coins=1.0, glasses=1.0)
    half = np.array([clip.packet.width, clip.packet.height]) / 2
    for i in range(200):
        for found in sample_occluders(np.random.default_rng(i), ranges, clip.packet):
            if isinstance(found, Coin | Glass) and found.place[2] < clip.packet.thickness:
                gap = np.maximum(np.abs(found.place[:2]) - half, 0)
                assert np.linalg.norm(gap) > found.radius
