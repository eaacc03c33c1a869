from dataclasses import replace

import numpy as np
import pytest

from cardpose.synth.records import Face
from cardpose.synth.rendering.faces import card_face


@pytest.mark.parametrize("rank", range(1, 14))
def test_faces_differ_and_keep_a_white_border(make_clip, rank: int) -> None:
    packet = make_clip(0).packet
    faces = [card_face(Face(suit, rank), packet, 3.0) for suit in range(4)]
    assert all(face.shape == (264, 189, 3) for face in faces)
    assert len({face.tobytes() for face in faces}) == 4
    for face in faces:
        np.testing.assert_allclose(face[1], np.broadcast_to(packet.paper, face[1].shape), atol=0.01)


@pytest.mark.parametrize("rank", [4, 10, 11, 13])
def test_a_half_turn_shows_the_same(make_clip, rank: int) -> None:
    face = card_face(Face(3, rank), make_clip(0).packet, 3.0)
    assert np.abs(face - face[::-1, ::-1]).mean() < 0.02


@pytest.mark.parametrize(("rank", "more"), [(3, 2), (6, 5), (9, 8)])
def test_pips_count(make_clip, rank: int, more: int) -> None:
    """Each pip more covers as much ink more."""

    def ink(number: int) -> float:
        face = card_face(Face(3, number), make_clip(0).packet, 4.0)[80:-80]
        return float((face[..., 1] < 0.5).sum())

    assert ink(rank) > ink(more)


def test_the_top_card_shows_its_face(make_clip) -> None:
    from cardpose.synth.rendering.stack import Stack

    clip = make_clip(1)
    up = replace(clip, back=replace(clip.back, face=Face(1, 7)))
    assert not np.array_equal(Stack(clip).top, Stack(up).top)
