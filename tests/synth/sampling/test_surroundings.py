"""Scenes of any table: what surrounds the packet never changes the packet's label."""

from dataclasses import replace

import numpy as np
import pytest
from hydra import compose, initialize_config_dir

from cardpose.common.hydra_entry import plain
from cardpose.common.hydra_words import CONF
from cardpose.common.packet import NOT_LABELLED, VISIBLE
from cardpose.models.builder import build
from cardpose.synth.dataset import Footage
from cardpose.synth.records import Clip, Prism
from cardpose.synth.rendering import occluders
from cardpose.synth.rendering.labels import annotate
from cardpose.synth.rendering.renderer import Renderer
from cardpose.synth.sampling.distributions import SceneConfig
from cardpose.synth.sampling.scene import sample_clip, sample_shot, sample_table

SIZE = {"width": 128, "height": 96}


@pytest.fixture(scope="module")
def any_table() -> SceneConfig:
    with initialize_config_dir(str(CONF / "scene"), version_base="1.3"):
        return build(plain(compose("any_table")))


def draw(config: SceneConfig, number: int, cards: int = 20) -> Clip:
    return sample_clip(config, seed=0, number=number, cards=cards, frames=2, rate=1, **SIZE)


def test_scenes_render_alike_again_and_most_show_their_surroundings(any_table: SceneConfig) -> None:
    differs = []
    for number in range(10):
        clip = draw(any_table, number)
        bare = replace(clip, occluders=(), table=replace(clip.table, sheets=(), room=()))
        first, again, without = (Renderer(scene).frame(sample_shot(scene, 0)) for scene in (clip, clip, bare))
        np.testing.assert_array_equal(first, again)
        surrounded = bool(clip.occluders or clip.table.sheets or clip.table.room)
        differs.append(bool((first != without).any()))
        assert surrounded or not differs[-1]
    assert sum(differs) >= 6  # the others lie outside of the frame


def test_a_table_without_a_packet_has_no_label_and_no_shadow(any_table: SceneConfig) -> None:
    clip = replace(draw(any_table, 1), empty=True, occluders=())
    shot = sample_shot(clip, 0)
    label = annotate(clip, shot, "a")
    assert label.cards is None
    assert (label.visibility == NOT_LABELLED).all()
    assert np.isnan(label.corners).all()
    other = replace(clip, packet=draw(any_table, 2, cards=52).packet)
    np.testing.assert_array_equal(Renderer(clip).frame(shot), Renderer(other).frame(shot))


def test_the_share_of_tables_without_a_packet_is_that_of_the_configuration(any_table: SceneConfig) -> None:
    empty = [draw(any_table, number).empty for number in range(400)]
    assert np.mean(empty) == pytest.approx(any_table.packet.absent, abs=0.035)


def test_a_share_of_the_tables_is_as_pale_as_cards(any_table: SceneConfig) -> None:
    pale, other = (
        [sample_table(np.random.default_rng(n), replace(any_table.table, pale=share)) for n in range(40)]
        for share in (1.0, 0.0)
    )
    assert min(table.colour.min() for table in pale) > 0.35
    assert min(table.colour.min() for table in other) < 0.2


def test_footage_lists_empty_clips_without_a_count(any_table: SceneConfig) -> None:
    footage = Footage(any_table, clips=40, frames_per_clip=1, counts=None, seed=0, rate=1, **SIZE)
    labels = list(footage.annotations())
    empty = [footage.clip(number).empty for number in range(40)]
    assert [label.cards is None for label in labels] == empty
    assert any(empty)


def test_an_object_before_the_packet_hides_its_corners(any_table: SceneConfig) -> None:
    clip = next(c for c in map(lambda n: draw(any_table, n), range(50)) if not c.empty)  # noqa: C417
    clip = replace(clip, occluders=())
    shot = sample_shot(clip, 0)
    free = annotate(clip, shot, "a")
    prism = next(o for n in range(50) for o in draw(any_table, n).occluders if isinstance(o, Prism))
    towards = shot.camera.position[:2] / np.linalg.norm(shot.camera.position[:2])
    middle = prism.top.outline.mean(0)
    wall = replace(
        prism, top=replace(prism.top, outline=prism.top.outline - middle + 75 * towards), height=90.0
    )
    hidden = annotate(replace(clip, occluders=(wall,)), shot, "a")
    np.testing.assert_array_equal(free.corners, hidden.corners)
    covered = occluders.covered(free.corners, [wall], shot.camera)
    np.testing.assert_array_equal(hidden.visibility[covered] < VISIBLE, True)
    assert (hidden.visibility <= free.visibility).all()
