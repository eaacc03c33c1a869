from dataclasses import fields, replace

import numpy as np
import pytest

from cardpose.common.errors import InputError
from cardpose.common.packet import CORNERS
from cardpose.synth.records import Clip
from cardpose.synth.rendering.box import label
from cardpose.synth.sampling.distributions import SceneConfig
from cardpose.synth.sampling.scene import BRIDGE_WIDTH_MM, sample_clip, sample_shot

CLIPS = 1000


@pytest.fixture(scope="module")
def clips(make_clip) -> list[Clip]:
    return [make_clip(number, cards=number % 52 + 1) for number in range(CLIPS)]


def within(values: list[float], limits: tuple[float, float]) -> bool:
    """All values lie in the range, and they fill most of it."""
    low, high = min(values), max(values)
    slack = 1e-9 * max(1, abs(high))
    return (
        low >= limits[0] - slack and high <= limits[1] + slack and high - low > 0.8 * (limits[1] - limits[0])
    )


def test_scenes_stay_inside_their_ranges_and_fill_them(clips: list[Clip], scene_config: SceneConfig) -> None:
    config = scene_config
    drawn = {
        "thickness": ([c.packet.card_thickness for c in clips], config.packet.thickness),
        "gap": ([c.packet.gap for c in clips], config.packet.gap),
        "gap_shade": ([c.packet.gap_shade for c in clips], config.packet.gap_shade),
        "border": ([c.back.border for c in clips], config.back.border),
        "pitch": ([c.back.pitch for c in clips], config.back.pitch),
        "contrast": ([c.table.contrast for c in clips], config.table.contrast),
        "reach": ([c.table.reach for c in clips], config.table.reach),
        "ambient": ([c.light.ambient for c in clips], config.light.ambient),
        "shininess": ([c.light.shininess for c in clips], config.light.shininess),
        "light": ([np.degrees(np.arcsin(c.light.direction[2])) for c in clips], config.light.elevation),
        "noise": ([c.sensor.noise for c in clips], config.sensor.noise),
        "defocus": ([c.sensor.defocus for c in clips], config.sensor.defocus),
        "view": ([2 * np.degrees(np.arctan(320 / c.path.focal)) for c in clips], config.camera.field_of_view),
        "shutter": ([c.path.shutter for c in clips], config.camera.shutter),
    }
    assert [name for name, (values, limits) in drawn.items() if not within(values, limits)] == []
    assert {c.back.family for c in clips} == set(config.back.families)
    assert {c.table.kind for c in clips} == set(config.table.kinds)


def test_cameras_stay_inside_their_ranges(clips: list[Clip], scene_config: SceneConfig) -> None:
    """At every moment, and not only on average."""
    away = np.array([c.camera(i / 15).position - c.target for c in clips for i in (0, 13, 31, 59)])
    distance = np.linalg.norm(away, axis=1)
    elevation = np.degrees(np.arcsin(away[:, 2] / distance))
    heading = np.degrees(np.arctan2(away[:, 0], -away[:, 1]))
    ranges = scene_config.camera
    assert within(distance.tolist(), ranges.distance)
    assert within(elevation.tolist(), ranges.elevation)
    assert within(heading.tolist(), (-ranges.heading_limit, ranges.heading_limit))


def test_left_and_right_upper_and_lower_in_every_frame(clips: list[Clip]) -> None:
    upper, left = ([w in name for name in CORNERS] for w in ("upper", "left"))
    upper, left = np.array(upper), np.array(left)
    labelled = 0
    for clip in clips:
        corners, visibility = label(clip.packet.corners, sample_shot(clip, clip.number % 60).camera)
        if visibility.min() > 0:
            labelled += 1
            assert corners[upper, 1].mean() < corners[~upper, 1].mean()
            assert corners[left, 0].mean() < corners[~left, 0].mean()
    assert labelled > 0.8 * CLIPS


def test_same_numbers_same_scene_and_other_numbers_another(make_clip) -> None:
    def look(clip: Clip) -> tuple:
        shot = sample_shot(clip, 7)
        return clip.packet.card_thickness, clip.table.texture_seed, *shot.camera.position, *shot.motion

    assert look(make_clip(2)) == look(make_clip(2))
    assert len({look(make_clip(number, seed=seed)) for number in (0, 1, 2) for seed in (0, 1, 2)}) == 9
    offsets = {sample_shot(make_clip(2), i).noise_offset for i in range(20)}
    assert len(offsets) > 15


def test_parts_have_streams_of_their_own(make_clip, scene_config: SceneConfig) -> None:
    """A count, or a range, of one part leaves the others as they were."""
    few, many = make_clip(2, cards=3), make_clip(2, cards=40)
    assert few.path == many.path
    assert few.table.texture_seed == many.table.texture_seed
    assert few.packet.card_thickness == many.packet.card_thickness


def test_motion_is_the_way_of_the_packet_during_the_exposure(make_clip) -> None:
    clip = make_clip(1)
    shot = sample_shot(clip, 20)
    half = clip.path.shutter / 2
    opens, closes = (clip.camera(shot.timestamp + t).project(clip.target) for t in (-half, half))
    np.testing.assert_allclose(shot.motion, closes - opens)


@pytest.mark.parametrize("cards", [0, 105])
def test_impossible_counts(scene_config: SceneConfig, cards: int) -> None:
    with pytest.raises(ValueError, match=f"cards is {cards}"):
        sample_clip(scene_config, seed=0, number=0, cards=cards, frames=1, rate=1, width=64, height=64)


@pytest.mark.parametrize("value", [(2.0, 1.0), (1.0,), (0.0, float("nan")), "wide", None])
def test_a_bad_range_is_named(scene_config: SceneConfig, value: object) -> None:
    with pytest.raises(InputError, match=r"PacketRanges.gap: .* write \[low, high\]"):
        replace(scene_config.packet, gap=value)


def test_every_range_is_checked(scene_config: SceneConfig) -> None:
    for part in fields(scene_config):
        ranges = getattr(scene_config, part.name)
        for field in fields(ranges):
            if isinstance(getattr(ranges, field.name), list | tuple) and field.name not in (
                "families",
                "kinds",
            ):
                with pytest.raises(InputError, match=field.name):
                    replace(ranges, **{field.name: (1.0, 0.0)})


def test_unknown_names_of_textures(scene_config: SceneConfig) -> None:
    with pytest.raises(InputError, match=r"families.*tartan"):
        replace(scene_config.back, families=("tartan",))
    with pytest.raises(InputError, match=r"kinds.*ice"):
        replace(scene_config.table, kinds=("ice",))
    with pytest.raises(InputError, match=r"kinds.*empty"):
        replace(scene_config.table, kinds=())


@pytest.fixture(scope="module")
def rich_clips(rich_config: SceneConfig) -> list[Clip]:
    size = {"width": 256, "height": 192}
    return [
        sample_clip(rich_config, seed=7, number=i, cards=i % 52 + 1, frames=4, rate=1, **size)
        for i in range(CLIPS)
    ]


def test_rich_scenes_stay_inside_their_ranges(rich_clips: list[Clip], rich_config: SceneConfig) -> None:
    packet = rich_config.packet
    assert within([c.packet.bend for c in rich_clips], packet.bend)
    assert within([c.back.wear for c in rich_clips], rich_config.back.wear)
    assert within([c.path.readout for c in rich_clips], rich_config.camera.readout)
    dirt = np.concatenate([c.packet.dirt.ravel() for c in rich_clips])
    assert dirt.min() == 0
    assert 0.8 * packet.dirt[1] < dirt.max() <= packet.dirt[1]
    thickest = packet.thickness[1] * (1 + packet.puff[1])
    assert within([c.packet.card_thickness for c in rich_clips], (packet.thickness[0], thickest))
    lean = [
        np.linalg.norm(c.packet.offsets[-1]) / c.packet.thickness for c in rich_clips if c.packet.cards > 40
    ]
    assert max(lean) < packet.lean[1] + 0.4  # the top card's own slip beside
    assert max(lean) > 0.7 * packet.lean[1]
    assert {c.packet.width for c in rich_clips} == {packet.width, BRIDGE_WIDTH_MM}
    for found, share in (
        ([c.packet.width == BRIDGE_WIDTH_MM for c in rich_clips], packet.bridge),
        ([c.back.border < 0 for c in rich_clips], rich_config.back.borderless),
        ([c.back.face is not None for c in rich_clips], rich_config.back.faces),
    ):
        assert abs(np.mean(found) - share) < 0.05
    assert {c.table.kind for c in rich_clips} == set(rich_config.table.kinds)
    headings = [np.degrees(np.arctan2(p[0], -p[1])) for c in rich_clips for p in [c.camera(0).position]]
    assert within(headings, (-180, 180))


def test_a_shot_rolls_as_its_camera_moves(make_clip) -> None:
    clip = make_clip(4)
    rolling = replace(clip, path=replace(clip.path, readout=clip.path.shutter))
    np.testing.assert_allclose(sample_shot(rolling, 5).camera.rolling, sample_shot(rolling, 5).motion)
    assert np.abs(sample_shot(rolling, 5).camera.rolling).max() > 0
    assert not sample_shot(clip, 5).camera.rolling.any()


def test_some_packets_are_partly_out_of_the_frame(rich_clips: list[Clip]) -> None:
    outside = [(label(c.packet.corners, sample_shot(c, 0).camera)[1] == 0).any() for c in rich_clips]
    assert 0.05 < np.mean(outside) < 0.6
