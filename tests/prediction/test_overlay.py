"""What a drawing says and shows of a frame."""

from dataclasses import replace

import numpy as np
import pytest

from cardpose.evaluation.report.drawing import CORNER_COLOURS
from cardpose.fusion.clips import Clip, Flag
from cardpose.prediction.overlay import LARGEST, SMALLEST, count_line, draw_frame
from cardpose.prediction.records import Prediction

CORNERS = np.array(
    [[40, 30], [120, 30], [40, 20], [120, 20], [30, 100], [130, 100], [30, 85], [130, 85]], float
)


CLIP = Clip(21.34, 18.6, 24.2, np.zeros(3, int), np.ones(3, bool), settled=True)


def predicted(scale: float = 1.0) -> Prediction:
    corners, ones = (CORNERS + 0.5) * scale - 0.5, np.ones(8)
    return Prediction(160, 120, corners, ones, ones > 0, ones, 21.0, 1.0, 6.3, corners, Flag.GOOD)


def test_the_line_states_count_interval_and_whether_it_is_sure() -> None:
    assert count_line(predicted(), CLIP) == "21.3 cards (19 to 24), settled"
    moving = replace(CLIP, settled=False)
    cut_off = replace(predicted(), flag=Flag.CUT_OFF)
    assert count_line(predicted(), replace(moving, low=np.nan, high=np.nan)) == "21.3 cards"
    assert count_line(cut_off, moving) == "21.3 cards (19 to 24), cut off"
    nothing = Clip(np.nan, np.nan, np.nan, np.ones(1, int), np.zeros(1, bool))
    assert count_line(predicted(), nothing) == "no packet found"


@pytest.mark.parametrize("scale", [1.0, 4.0, 20.0])
def test_corners_lie_where_they_are_on_a_frame_of_any_size(scale: float) -> None:
    image = np.full((round(120 * scale), round(160 * scale), 3), 90, np.uint8)
    drawing = draw_frame(image, predicted(scale), None, CLIP)
    assert (image == 90).all()
    assert SMALLEST <= max(drawing.shape[:2]) <= LARGEST
    shown = (CORNERS + 0.5) * (drawing.shape[1] / 160) - 0.5
    for (x, y), colour in zip(np.rint(shown).astype(int), CORNER_COLOURS, strict=True):
        patch = drawing[y - 4 : y + 5, x - 4 : x + 5].astype(int)
        assert (np.abs(patch - colour).max(axis=-1) < 40).any()


def test_a_lost_corner_is_not_drawn() -> None:
    tracked = CORNERS.copy()
    tracked[5] = np.nan
    drawing = draw_frame(np.full((120, 160, 3), 90, np.uint8), predicted(), tracked, CLIP)
    x, y = np.rint(3 * (CORNERS[5] + 0.5) - 0.5).astype(int)
    assert (drawing[y - 4 : y + 5, x - 4 : x + 5] == 90).all()
