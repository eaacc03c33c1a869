"""Where the camera stands, how sharp a packet is, and bins that take every frame once."""

import math

import numpy as np
import pytest
from test_folds import frame

from cardpose.common.packet import CARD_HEIGHT_MM, CARD_WIDTH_MM, CORNERS, NOT_LABELLED, VISIBLE, Annotation
from cardpose.evaluation.report import error_by_condition as conditions
from cardpose.evaluation.report.plots import error_by_condition
from cardpose.geometry.box_fit import PHONE_FOCAL
from cardpose.synth.rendering.camera import Camera


def annotation(elevation: float, heading: float, width: int = 640, height: int = 480) -> Annotation:
    """The label of a packet of 9 mm that a level camera sees from these degrees."""
    e, h = math.radians(elevation), math.radians(heading)
    forward = np.array([-math.sin(h) * math.cos(e), math.cos(h) * math.cos(e), -math.sin(e)])
    right = np.array([math.cos(h), math.sin(h), 0.0])
    rotation = np.stack([right, np.cross(forward, right), forward])
    camera = Camera(rotation, -300 * forward, PHONE_FOCAL * max(width, height), width, height)
    box = np.array(
        [
            [
                CARD_WIDTH_MM / 2 * (1 if "right" in name else -1),
                CARD_HEIGHT_MM / 2 * (1 if "upper" in name else -1),
                0.0 if "back" in name else -9.0,
            ]
            for name in CORNERS
        ]
    )
    corners = camera.project(box).astype(np.float32)
    return Annotation("videos/a.mp4", 0, 0.0, width, height, corners, np.full(8, VISIBLE, np.int8), 30)


@pytest.mark.parametrize("size", [(640, 480), (1080, 1920)])
def test_the_viewpoint_is_the_cameras(size: tuple[int, int]) -> None:
    places = [(15.0, 0.0), (30.0, 40.0), (45.0, -70.0), (75.0, 10.0)]
    elevation, heading = conditions.viewpoints([annotation(*place, *size) for place in places])
    np.testing.assert_allclose(np.stack([elevation, heading], axis=1), places, atol=0.01)


def test_frames_of_several_sizes_have_a_viewpoint_each() -> None:
    _, heading = conditions.viewpoints([annotation(30, 20, 640, 480), annotation(30, -20, 1920, 1080)])
    np.testing.assert_allclose(heading, [20, -20], atol=0.01)


def test_labels_without_a_box_have_no_viewpoint() -> None:
    flat = annotation(30, 20)
    flat.visibility[[i for i, name in enumerate(CORNERS) if "face" in name]] = NOT_LABELLED
    assert np.isnan(conditions.viewpoints([flat])).all()


def test_a_blurred_packet_is_less_sharp_whatever_lies_around_it() -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 255, (60, 80, 3), dtype=np.uint8)
    corners = np.array([[20.0, 20.0], [60.0, 20.0], [60.0, 40.0], [20.0, 40.0]])
    blurred = image.copy()
    blurred[15:46, 15:66] = 128
    assert conditions.sharpness(image, corners) > conditions.sharpness(blurred, corners)
    assert conditions.sharpness(blurred, corners) == 0
    assert math.isnan(conditions.sharpness(image, corners + 500))
    assert math.isnan(conditions.sharpness(image, corners[:0]))


def test_every_frame_is_in_one_bin_of_each_condition() -> None:
    rng = np.random.default_rng(1)
    results = [frame(video=f"videos/{i % 4}.mp4", index=i, error=float(i)) for i in range(30)]
    values = {
        "cards": np.arange(30) * 52 / 29,
        "elevation": rng.uniform(0, 90, 30),
        "heading": np.append(rng.uniform(-90, 90, 29), math.nan),
        conditions.SHARPNESS: rng.uniform(0, 1, 30),
    }
    rows = conditions.condition_rows(results, values)
    everything, *bins = rows
    assert (everything["frames"], everything["videos"], everything["card_mae"]) == (30, 4, 14.5)
    for name in values:
        own = [row for row in bins if row["condition"] == name]
        assert sum(int(row["frames"]) for row in own) == 30
        assert np.average(
            [float(row["card_mae"]) for row in own], weights=[int(row["frames"]) for row in own]
        ) == pytest.approx(14.5)
    assert [row["frames"] for row in bins if row["condition"] == conditions.SHARPNESS] == [10, 10, 10]
    assert [row["frames"] for row in bins if row["bin"] == "unknown"] == [1]
    assert error_by_condition(rows).shape == (900, 1200, 3)


def test_a_bin_tells_which_way_the_counts_are_off() -> None:
    results = [frame(error=-2.0), frame(error=1.0)]
    (row,) = conditions.condition_rows(results, {})
    assert (row["card_bias"], row["card_mae"], row["card_within_1"]) == (-0.5, 1.5, 0.5)


def test_unknown_counts_have_no_error_but_corners_have() -> None:
    rows = conditions.condition_rows([frame(cards=math.nan)], {"cards": np.array([math.nan])})
    assert [row["bin"] for row in rows] == ["all", "unknown"]
    assert math.isnan(float(rows[1]["card_mae"]))
    assert rows[1]["corner_px_median"] == pytest.approx(1.0)
