"""The box of a frame's corners: back to the corners that made it, at every size; one corner out; how far is far."""

import numpy as np
import pytest
import torch

from cardpose.common.packet import CORNERS, NOT_LABELLED, VISIBLE, Annotation
from cardpose.geometry.box_fit import PHONE_FOCAL, BoxFit, field_of_view, focal_length, project
from cardpose.geometry.boxes import FIT_SIDE, boxes_without, extent, fit_frames, labelled
from cardpose.geometry.focal_length import estimate_focal

ALL = np.ones((1, 8), bool)


def seen(
    size: tuple[int, int], thickness: float = 12.0, elevation: float = 40.0, focal: float = PHONE_FOCAL
) -> np.ndarray:
    """(8, 2) corners of a packet that a camera sees from above, pixels of a frame of this width and height."""
    tilt = np.deg2rad(elevation)
    up = [[1, 0, 0], [0, -np.sin(tilt), -np.cos(tilt)], [0, np.cos(tilt), -np.sin(tilt)]]
    box = BoxFit(
        torch.tensor([thickness], dtype=torch.float64),
        torch.tensor([up], dtype=torch.float64),
        torch.tensor([[5.0, 3.0, 260.0]], dtype=torch.float64),
        torch.zeros(1),
        torch.zeros(1, 7, 7),
        torch.tensor([True]),
    )
    centre = (size[0] - 1) / 2, (size[1] - 1) / 2
    return project(box, focal * max(size), centre)[0].numpy()


@pytest.mark.parametrize("size", [(640, 480), (480, 640), (3840, 2160)])
def test_corners_of_a_box_come_back_at_every_size(size: tuple[int, int]) -> None:
    corners = seen(size)
    boxes = fit_frames(corners[None], ALL, np.array([size]))
    np.testing.assert_allclose(boxes.corners[0], corners, atol=1e-3 * max(size) / FIT_SIDE)
    assert boxes.box.thickness[0] == pytest.approx(12.0, abs=0.01)
    assert boxes.residual(ALL)[0] == boxes.distance[0] < 1e-3 * max(size) / FIT_SIDE


@pytest.mark.parametrize("focal", [0.7, PHONE_FOCAL, 2.0])
@pytest.mark.parametrize("size", [(640, 480), (1080, 1920)])
def test_the_frames_of_a_clip_tell_the_focal_length(focal: float, size: tuple[int, int]) -> None:
    corners = np.stack([seen(size, elevation=angle, focal=focal) for angle in (15, 25, 35, 50)])
    noisy = corners + np.random.default_rng(0).normal(0, 1e-4 * max(size), corners.shape)
    assert estimate_focal(noisy, np.ones((4, 8)), np.array([size] * 4)) == pytest.approx(focal, rel=0.02)


def test_the_focal_length_is_used_and_hardly_changes_the_thickness() -> None:
    corners, size = seen((640, 480), focal=1.6)[None], np.array([[640, 480]])
    right, wrong = (fit_frames(corners, ALL, size, focal=focal) for focal in (1.6, PHONE_FOCAL))
    assert right.distance[0] < 0.01 < wrong.distance[0]
    assert right.box.thickness[0] == pytest.approx(12.0, abs=0.01)
    assert wrong.box.thickness[0] == pytest.approx(12.0, abs=1.0)


def test_what_is_no_packet_tells_no_focal_length() -> None:
    four = np.arange(8)[None] < 4
    assert estimate_focal(seen((640, 480))[None], four, np.array([[640, 480]])) is None


def test_field_of_view_and_focal_length_are_each_others_way_back() -> None:
    assert [round(field_of_view(focal_length(angle)), 9) for angle in (20, 50, 110)] == [20, 50, 110]


def test_too_few_corners_have_a_box_but_no_residual() -> None:
    four = np.zeros((1, 8), bool)
    four[0, [0, 2, 3, 7]] = True
    boxes = fit_frames(seen((640, 480))[None], four, np.array([[640, 480]]))
    assert np.isfinite(boxes.corners).all()
    assert np.isnan(boxes.residual(four)).all()


def test_corners_on_one_surface_have_no_box() -> None:
    back = np.array([["back" in name for name in CORNERS]])
    boxes = fit_frames(seen((640, 480))[None], back, np.array([[640, 480]]))
    assert np.isnan(boxes.corners).all()
    assert np.isnan(boxes.residual(back)).all()


def test_the_corner_that_is_wrong_is_the_one_to_leave_out() -> None:
    corners, given = seen((640, 480)), np.ones(8, bool)
    wrong = corners.copy()
    wrong[5] += (25.0, -10.0)
    errors, boxes = boxes_without(wrong, given, np.array([640, 480]))
    assert errors.argmin() == 5
    assert errors[5] < 0.01
    np.testing.assert_allclose(boxes[5], corners, atol=0.02)


def test_a_corner_that_is_not_given_cannot_be_left_out() -> None:
    corners, given = seen((640, 480)), np.ones(8, bool)
    given[[1, 6]] = False
    corners[[1, 6]] = np.nan
    errors, _ = boxes_without(corners, given, np.array([640, 480]))
    assert np.flatnonzero(np.isnan(errors)).tolist() == [1, 6]
    given[[0, 2, 3]] = False
    assert np.isnan(boxes_without(corners, given, np.array([640, 480]))[0]).all()


def test_the_extent_is_of_the_given_corners() -> None:
    corners = np.zeros((2, 8, 2))
    corners[0, 1], corners[0, 2] = (30.0, 40.0), np.nan
    given = np.zeros((2, 8), bool)
    given[0, :2] = True
    assert extent(corners, given).tolist() == [50.0, 0.0]


def test_labels_of_several_sizes_are_put_together() -> None:
    visibility = np.full(8, VISIBLE, np.int8)
    visibility[3] = NOT_LABELLED
    labels = [
        Annotation("a.mp4", 0, 0.0, *size, np.ones((8, 2), np.float32), visibility, 20)
        for size in ((640, 480), (1920, 1080))
    ]
    corners, given, size = labelled(labels)
    assert corners.shape == (2, 8, 2)
    assert given.sum(1).tolist() == [7, 7]
    assert size.tolist() == [[640, 480], [1920, 1080]]
