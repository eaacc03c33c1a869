from typing import Any

import numpy as np
import pytest

from cardpose.common.errors import InputError
from cardpose.synth.sampling.distributions import SceneConfig
from cardpose.synth.stream import SceneStream


@pytest.fixture
def film(scene_config: SceneConfig) -> SceneStream:
    return SceneStream(scene_config, (48, 64), frames_per_clip=2, rate=1, seed=3)


def test_a_frame_depends_on_its_index_alone(film: SceneStream, scene_config: SceneConfig) -> None:
    forward = [film(index) for index in range(4)]
    again = SceneStream(scene_config, (48, 64), frames_per_clip=2, rate=1, seed=3)
    for index in (3, 0, 2, 1):
        image, label = again(index)
        np.testing.assert_array_equal(image, forward[index][0])
        np.testing.assert_array_equal(label.corners, forward[index][1].corners)
    other = SceneStream(scene_config, (48, 64), frames_per_clip=2, rate=1, seed=4)
    assert not np.array_equal(other(0)[0], forward[0][0])


def test_frames_of_a_clip_show_one_packet_and_the_next_clip_another(film: SceneStream) -> None:
    images, labels = zip(*(film(index) for index in range(4)), strict=True)
    assert [label.video for label in labels] == ["stream/0", "stream/0", "stream/1", "stream/1"]
    assert [label.frame_index for label in labels] == [0, 1, 0, 1]
    assert labels[0].cards == labels[1].cards
    assert len({image.tobytes() for image in images}) == 4
    assert images[0].shape == (48, 64, 3)
    assert images[0].dtype == np.uint8


def test_counts_cover_1_to_52(scene_config: SceneConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cardpose.synth.stream.Renderer", lambda clip: None)
    monkeypatch.setattr("cardpose.synth.stream.SceneStream.__call__", _counts)
    film = SceneStream(scene_config, (48, 64), frames_per_clip=1, rate=1, seed=0)
    counts = [film(index) for index in range(600)]
    assert set(counts) == set(range(1, 53))


def test_given_counts_are_taken_in_turn(scene_config: SceneConfig) -> None:
    stream = SceneStream(scene_config, (48, 64), frames_per_clip=2, rate=1, seed=3, counts=[1, 3])
    labels = [stream(index)[1] for index in range(6)]
    assert [label.cards for label in labels] == [1, 1, 3, 3, 1, 1]


def _counts(film: SceneStream, index: int) -> int:
    return film.clip(index)[0].packet.cards


@pytest.mark.parametrize("wrong", [{"frames_per_clip": 0}, {"rate": 0.0}, {"counts": []}, {"counts": [0]}])
def test_bad_numbers_are_named(scene_config: SceneConfig, wrong: dict[str, Any]) -> None:
    arguments: dict[str, Any] = {"frames_per_clip": 2, "rate": 1.0} | wrong
    with pytest.raises(InputError, match=next(iter(wrong))):
        SceneStream(scene_config, (48, 64), seed=0, **arguments)
