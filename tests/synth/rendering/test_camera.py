from dataclasses import replace

import cv2
import numpy as np
import pytest

from cardpose.synth.records import Clip
from cardpose.synth.rendering.camera import Camera, look_at, scaling
from cardpose.synth.sampling.scene import sample_shot


@pytest.fixture
def camera(make_clip) -> Camera:
    clip: Clip = make_clip(3)
    return sample_shot(clip, 17).camera


def test_projection_is_that_of_opencv(camera: Camera) -> None:
    points = np.random.default_rng(0).uniform(-50, 50, (40, 3))
    rotation = cv2.Rodrigues(camera.rotation)[0]
    translation = -camera.rotation @ camera.position
    want, _ = cv2.projectPoints(points, rotation, translation, camera.intrinsics, np.zeros(5))
    np.testing.assert_allclose(camera.project(points), want[:, 0], atol=1e-6)


def test_plane_homography_agrees_with_projection(camera: Camera) -> None:
    xy = np.random.default_rng(1).uniform(-50, 50, (40, 2))
    image = np.column_stack([xy, np.ones(40)]) @ camera.plane(7.5).T
    want = camera.project(np.column_stack([xy, np.full(40, 7.5)]))
    np.testing.assert_allclose(image[:, :2] / image[:, 2:], want, atol=1e-6)


def test_a_rolling_shutter_shows_each_row_at_its_own_time(camera: Camera) -> None:
    points = np.random.default_rng(2).uniform(-50, 50, (40, 3))
    rolling = replace(camera, rolling=np.array([6.0, -4.0]))
    seen, still = rolling.project(points), camera.project(points)
    time = seen[:, 1:] / (camera.height - 1) - 0.5
    np.testing.assert_allclose(seen, still + time * rolling.rolling, atol=1e-6)
    image = np.column_stack([points[:, :2], np.ones(40)]) @ rolling.plane(3).T
    points[:, 2] = 3
    np.testing.assert_allclose(image[:, :2] / image[:, 2:], rolling.project(points), atol=1e-6)


@pytest.mark.parametrize("roll", [0.0, 0.3])
def test_the_camera_looks_where_it_is_told(roll: float) -> None:
    position, target, aim = np.array([30.0, -200, 90]), np.array([0.0, 0, 5]), np.array([80.0, -40])
    camera = Camera(look_at(position, target, aim, roll, 700), position, 700, 640, 480)
    np.testing.assert_allclose(camera.rotation @ camera.rotation.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(camera.rotation) == pytest.approx(1)
    turned = np.array([[np.cos(roll), -np.sin(roll)], [np.sin(roll), np.cos(roll)]]) @ aim
    np.testing.assert_allclose(camera.project(target), np.array([319.5, 239.5]) + turned, atol=1e-9)


def test_up_is_up_and_right_is_right() -> None:
    position = np.array([0.0, -200, 100])
    camera = Camera(look_at(position, np.zeros(3), np.zeros(2), 0, 700), position, 700, 640, 480)
    origin, right, high, far = camera.project(np.array([[0, 0, 0], [9, 0, 0], [0, 0, 9], [0, 9, 0.0]]))
    assert right[0] > origin[0]
    assert high[1] < origin[1]
    assert far[1] < origin[1]


def test_scaling_follows_the_pixel_centre_rule() -> None:
    np.testing.assert_allclose(scaling(3, 4, left=10, top=20) @ [12, 21, 1], [7, 5.5, 1])
