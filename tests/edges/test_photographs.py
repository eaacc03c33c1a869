"""The picture of a side shows its cards, in the middle."""

import numpy as np

from cardpose.edges.pictures import SIZE, enlarge
from cardpose.edges.strips import find_sides


def test_the_middle_of_a_side_shows_every_card() -> None:
    from test_strips import FOCAL, box_of, corners_of, striped, view
    from test_strips import SIZE as FRAME

    camera = view(20)
    side = find_sides(box_of(corners_of(20, camera)), FRAME, FOCAL)[0]
    shown = enlarge(striped(20, camera), side)
    assert shown.shape == (SIZE[1], SIZE[0], 3)
    middle = shown[:, SIZE[0] // 2, 0].astype(int)
    white = middle > 180
    assert np.count_nonzero(white[1:] & ~white[:-1]) == 10  # every second card
    assert middle[[0, -1]].tolist() == [40, 40]  # the table
