"""Lines that are tilted and bent are made level."""

import numpy as np
import pytest

from cardpose.edges.levelling import Level, apply_level, find_level
from cardpose.edges.rendering import render_strip

X = np.linspace(-1, 1, 96)
ENDS = np.array([90.0, 210.0])


@pytest.mark.parametrize(
    ("slopes", "bend"),
    [((0.0, 0.0), 0.0), ((30.0, 30.0), 0.0), ((-20.0, -20.0), 5.0), ((8.0, 8.0), -10.0), ((9.0, -3.0), 0.0)],
)
def test_tilted_and_bent_lines_are_found(slopes: tuple[float, float], bend: float) -> None:
    strip = render_strip(np.random.default_rng(1), 20, 300, len(X), top=15, pitch=6.0, style="square")
    true = Level(ENDS, np.stack([slope * X + bend * X**2 for slope in slopes]))
    found = find_level(apply_level(strip.image, true), ENDS)
    lines = found.levelled(true.levelled(strip.lines))[:, strip.clear]
    assert (np.ptp(lines[[2, 10, 17]], axis=1) < 4.5).all()


def test_levelling_reads_each_column_lower() -> None:
    image = np.zeros((60, 4, 3), np.uint8)
    image[30] = 200
    level = Level(np.array([10.0, 50.0]), np.array([[0.0, 5.0, -5.0, 0.0]] * 2))
    moved = apply_level(image, level)
    assert moved[:, :, 0].argmax(0).tolist() == [30, 25, 35, 30]


def test_a_blank_strip_stays_finite() -> None:
    level = find_level(np.full((80, 96, 3), 90, np.uint8), np.array([20.0, 60.0]))
    assert np.isfinite(level.curves).all()
