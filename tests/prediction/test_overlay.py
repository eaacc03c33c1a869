"""What a drawing says and shows of a frame."""

from dataclasses import replace

import numpy as np
import pytest

from cardpose.evaluation.report.drawing import CORNER_COLOURS
from cardpose.fusion.clips import Clip, Flag
from cardpose.prediction.output_folder import TrackedFrame
from cardpose.prediction.overlay import LARGEST, SMALLEST, count_line, draw_frame
from cardpose.prediction.predictor import FramePrediction

CORNERS = np.array(
    [[40, 30], [120, 30], [40, 20], [120, 20], [30, 100], [130, 100], [30, 85], [130, 85]], float
)


def frame(scale: float = 1.0, **changes: object) -> TrackedFrame:
    corners = (CORNERS + 0.5) * scale - 0.5
    ones = np.ones(8)
    said = FramePrediction(160, 120, corners, ones, ones, 21.0, 1.0, 6.3, corners, Flag.GOOD)
    answer = Clip(21.34, 18.6, 24.2, np.zeros(3, int), np.ones(3, bool))
    return replace(TrackedFrame("a.mp4", 2, 0.1, said, corners, answer, True), **changes)  # type: ignore[arg-type]


def test_the_line_says_count_interval_and_whether_it_is_sure() -> None:
    assert count_line(frame()) == "21.3 cards (19 to 24), settled"
    unknown = replace(frame().running, low=np.nan, high=np.nan)
    cut_off = replace(frame().prediction, flag=Flag.CUT_OFF)
    assert count_line(frame(running=unknown, settled=False)) == "21.3 cards"
    assert count_line(frame(settled=False, prediction=cut_off)) == "21.3 cards (19 to 24), cut off"
    nothing = Clip(np.nan, np.nan, np.nan, np.ones(1, int), np.zeros(1, bool))
    assert count_line(frame(running=nothing, settled=False)) == "no packet found"


@pytest.mark.parametrize("scale", [1.0, 4.0, 20.0])
def test_corners_lie_where_they_are_on_a_frame_of_any_size(scale: float) -> None:
    image = np.full((round(120 * scale), round(160 * scale), 3), 90, np.uint8)
    drawing = draw_frame(image, frame(scale))
    assert (image == 90).all()
    assert SMALLEST <= max(drawing.shape[:2]) <= LARGEST
    shown = (CORNERS + 0.5) * (drawing.shape[1] / 160) - 0.5
    for (x, y), colour in zip(np.rint(shown).astype(int), CORNER_COLOURS, strict=True):
        patch = drawing[y - 4 : y + 5, x - 4 : x + 5].astype(int)
        assert (np.abs(patch - colour).max(axis=-1) < 40).any()


def test_a_lost_corner_is_not_drawn() -> None:
    tracked = CORNERS.copy()
    tracked[5] = np.nan
    drawing = draw_frame(np.full((120, 160, 3), 90, np.uint8), frame(tracked=tracked))
    x, y = np.rint(3 * (CORNERS[5] + 0.5) - 0.5).astype(int)
    assert (drawing[y - 4 : y + 5, x - 4 : x + 5] == 90).all()
