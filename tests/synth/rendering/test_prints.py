import numpy as np
import pytest

from cardpose.synth.records import Patch
from cardpose.synth.rendering.prints import PRINTS, draw_patches, printed_tile


@pytest.mark.parametrize("variant", range(len(PRINTS)))
def test_a_print_tiles_without_a_seam(variant: int) -> None:
    """The step across the border is no larger than the largest steps inside."""
    tile = printed_tile(variant, 256).astype(float)
    inner = np.abs(np.diff(tile, axis=1)).mean((0, 2))
    assert np.abs(tile[:, 0] - tile[:, -1]).mean() <= inner.max() + 3
    assert tile.std() > 2


def test_prints_of_one_number_are_equal() -> None:
    np.testing.assert_array_equal(printed_tile(3, 64), printed_tile.__wrapped__(3, 64))


def test_a_patch_covers_its_outline_with_its_inlay_inside() -> None:
    square = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * 10.0
    canvas = np.zeros((41, 41, 4), np.uint8)
    red, blue = np.array([1.0, 0, 0]), np.array([0, 0, 1.0])
    draw_patches(canvas, [Patch(square, red, blue, 0.5)], np.ones(2), np.full(2, 20.0))
    assert canvas[20, 20].tolist() == [0, 0, 255, 255]
    assert canvas[20, 12].tolist() == [255, 0, 0, 255]
    assert canvas[20, 5].tolist() == [0, 0, 0, 0]
