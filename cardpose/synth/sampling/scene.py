"""Samples clips and shots: everything random, from (seed, clip, frame) and nothing else.

A `Clip` is constant while the camera films; a `Shot` is one frame. Each part of a scene has its own random stream, so
that a new quantity in one part does not change the others.
"""

from collections.abc import Sequence
from dataclasses import fields, replace
from enum import IntEnum

import numpy as np

from cardpose.common.errors import InputError
from cardpose.common.packet import CARDS_PER_DECK, MAX_CARDS
from cardpose.synth.records import Back, Clip, Face, Light, Packet, Path, Sensor, Shot, Table, Wave
from cardpose.synth.rendering.box import FACETS
from cardpose.synth.sampling.clutter import sample_occluders
from cardpose.synth.sampling.distributions import (
    BackRanges,
    CameraRanges,
    LightRanges,
    PacketRanges,
    Range,
    SceneConfig,
    SensorRanges,
    TableRanges,
)
from cardpose.synth.sampling.draws import colour, draw, one_of
from cardpose.synth.sampling.surroundings import sample_room, sample_sheets

BRIDGE_WIDTH_MM = 57.0
TO_THE_EDGE_MM = -3.0
"""A border outside of the card, so that neither border nor frame is visible."""


class Part(IntEnum):
    """The random streams of a scene. Append only: a stream's number is part of every scene."""

    PACKET = 0
    BACK = 1
    CAMERA = 2
    TABLE = 3
    LIGHT = 4
    SENSOR = 5
    SHOT = 6
    COUNT = 7
    OCCLUDERS = 8
    EMPTY = 9


def stream(seed: int, clip: int, part: Part, frame: int = 0) -> np.random.Generator:
    """The random stream of one part of one clip (and frame, for `Part.SHOT`)."""
    return np.random.default_rng([seed, clip, part, frame])


def check_counts(counts: Sequence[int] | None, key: str) -> None:
    """Check the counts that a setting gives clips in turn; None is for all.

    Args:
        key: of the setting, for the message.

    Raises:
        InputError: there is none, or one is not a count.
    """
    if counts is not None and len(counts) == 0:
        raise InputError(f"{key}=[]: name at least one count, or use null for 1 to {CARDS_PER_DECK}")
    for count in counts or ():
        if not (isinstance(count, int) and 1 <= count <= MAX_CARDS):
            raise InputError(f"{key}: {count!r} is not a count: choose whole numbers from 1 to {MAX_CARDS}")


def sample_clip(
    config: SceneConfig,
    *,
    seed: int,
    number: int,
    cards: int,
    frames: int,
    rate: float,
    width: int,
    height: int,
) -> Clip:
    """Sample one clip. Equal arguments give equal clips, in any process.

    Raises:
        ValueError: `cards` is not 1 to 104.
    """
    if not 1 <= cards <= MAX_CARDS:
        raise ValueError(f"cards is {cards}, expected 1 to {MAX_CARDS}")

    def rng(part: Part) -> np.random.Generator:
        return stream(seed, number, part)

    packet = sample_packet(rng(Part.PACKET), config.packet, cards)
    return Clip(
        number=number,
        seed=seed,
        width=width,
        height=height,
        frames=frames,
        rate=rate,
        packet=packet,
        back=sample_back(rng(Part.BACK), config.back),
        table=sample_table(rng(Part.TABLE), config.table),
        light=sample_light(rng(Part.LIGHT), config.light),
        sensor=sample_sensor(rng(Part.SENSOR), config.sensor),
        path=sample_path(rng(Part.CAMERA), config.camera),
        occluders=sample_occluders(rng(Part.OCCLUDERS), config.occluders, packet),
        empty=rng(Part.EMPTY).random() < config.packet.absent,
    )


def sample_shot(clip: Clip, index: int) -> Shot:
    """Sample frame `index` of the clip."""
    time = index / clip.rate
    offset = stream(clip.seed, clip.number, Part.SHOT, index).integers(0, 64, 2)
    camera = replace(clip.camera(time), rolling=_displacement(clip, time, clip.path.readout))
    return Shot(
        index, time, camera, _displacement(clip, time, clip.path.shutter), (int(offset[0]), int(offset[1]))
    )


def _displacement(clip: Clip, time: float, duration: float) -> np.ndarray:
    """(2,) displacement in pixels of the packet's centre in the image, in `duration` s around `time`."""
    before, after = (clip.camera(time + side * duration / 2) for side in (-1, 1))
    return after.project(clip.target) - before.project(clip.target)


def sample_packet(rng: np.random.Generator, ranges: PacketRanges, cards: int) -> Packet:
    """Draw a packet of so many cards: format, place and tone of each card, gaps, bend and dirt; lengths in mm."""
    # The order of the draws is part of every scene: append new ones.
    slip, twist, tone = draw(rng, ranges.slip), np.radians(draw(rng, ranges.twist)), draw(rng, ranges.tone)
    paper = np.array([0.93, 0.92, 0.91]) - draw(rng, ranges.warmth) * np.array([0.02, 0.06, 0.16])
    thickness, gap, gap_shade = (draw(rng, r) for r in (ranges.thickness, ranges.gap, ranges.gap_shade))
    offsets = slip * rng.standard_normal((cards, 2)).clip(-2.5, 2.5)
    turns = twist * rng.standard_normal(cards).clip(-2.5, 2.5)
    noise = rng.standard_normal((cards, 1)) + 0.4 * rng.standard_normal((cards, FACETS))
    lean, bearing, puff = draw(rng, ranges.lean), rng.uniform(0, 2 * np.pi), draw(rng, ranges.puff)
    # A leaning stack is offset in proportion to the height.
    pitch = thickness * (1 + puff)
    leaning = lean * np.array([np.cos(bearing), np.sin(bearing)]) * pitch * np.arange(cards)[:, None]
    return Packet(
        cards=cards,
        width=BRIDGE_WIDTH_MM if rng.random() < ranges.bridge else ranges.width,
        height=ranges.height,
        radius=ranges.radius,
        card_thickness=pitch,
        offsets=offsets + leaning,
        turns=turns,
        tones=1 + tone * noise.clip(-2.5, 2.5),
        gap=(gap + puff) / (1 + puff),
        gap_shade=gap_shade,
        paper=paper,
        bend=draw(rng, ranges.bend),
        dirt=draw(rng, ranges.dirt) * _patches(rng, cards),
        rounded=ranges.rounded,
    )


def _patches(rng: np.random.Generator, cards: int) -> np.ndarray:
    """(cards, P) smooth patches, 0 to 1, along the outline and, more slowly, from card to card."""
    angle, height = 2 * np.pi * np.arange(FACETS) / FACETS, np.arange(cards)[:, None] / 20
    waves = [
        np.cos(turns * angle + 2 * np.pi * (rng.uniform(-1, 1) * height + rng.uniform()))
        for turns in (1, 2, 3)
    ]
    return (np.mean(waves, 0) * 1.5).clip(0, 1)


def sample_back(rng: np.random.Generator, ranges: BackRanges) -> Back:
    """Draw pattern and colours of the backs."""
    classic = rng.random() < ranges.classic
    red_or_blue = (-10.0, 8.0) if rng.random() < 0.5 else (205.0, 235.0)
    family = str(rng.choice(ranges.families))
    ink = colour(rng, red_or_blue if classic else ranges.hues, ranges.saturation, ranges.value)
    border, pitch, contrast = draw(rng, ranges.border), draw(rng, ranges.pitch), draw(rng, ranges.contrast)
    borderless, face = rng.random() < ranges.borderless, rng.random() < ranges.faces
    return Back(
        family=family,
        colour=ink,
        border=TO_THE_EDGE_MM if borderless else border,
        pitch=pitch,
        contrast=contrast,
        face=Face(suit=int(rng.integers(4)), rank=int(rng.integers(1, 14))) if face else None,
        picture=one_of(rng, ranges.pictures, ranges.picture_share),
        wear=draw(rng, ranges.wear),
        scuffs=rng.random((18, 13), np.float32),
        medallion=rng.uniform(5, 18) if rng.random() < ranges.medallions else 0.0,
    )


def sample_table(rng: np.random.Generator, ranges: TableRanges) -> Table:
    """Draw the table, what lies on it, and the room around it."""
    table = Table(
        kind=str(rng.choice(ranges.kinds)),
        colour=colour(rng, ranges.hues, ranges.saturation, ranges.value),
        contrast=draw(rng, ranges.contrast),
        folds=draw(rng, ranges.folds),
        edge_bearing=np.radians(rng.uniform(0, 360)),
        reach=draw(rng, ranges.reach),
        wall=colour(rng, (0, 360), (0, 0.3), (0.1, 0.8)),
        texture_seed=int(rng.integers(2**31)),
        picture=one_of(rng, ranges.pictures, ranges.picture_share),
        sheets=sample_sheets(rng) if rng.random() < ranges.sheets else (),
        room=sample_room(rng) if rng.random() < ranges.room else (),
    )
    if rng.random() < ranges.pale:
        return replace(table, colour=colour(rng, (20, 70), (0.02, 0.3), (0.55, 0.95)))
    return table


def sample_light(rng: np.random.Generator, ranges: LightRanges) -> Light:
    """Draw direction, softness, strength and tint of the light."""
    bearing, elevation = np.radians(draw(rng, ranges.bearing)), np.radians(draw(rng, ranges.elevation))
    tint = draw(rng, ranges.tint)
    return Light(
        direction=np.array(
            [np.cos(elevation) * np.cos(bearing), np.cos(elevation) * np.sin(bearing), np.sin(elevation)]
        ),
        ambient=draw(rng, ranges.ambient),
        softness=draw(rng, ranges.softness),
        gloss=draw(rng, ranges.gloss),
        shininess=draw(rng, ranges.shininess),
        gains=draw(rng, ranges.exposure) * (1 + tint * np.array([0.06, 0.0, -0.09])),
    )


def sample_sensor(rng: np.random.Generator, ranges: SensorRanges) -> Sensor:
    """Draw blur, noise and processing of the camera."""
    return Sensor(**{part.name: draw(rng, getattr(ranges, part.name)) for part in fields(ranges)})


def sample_path(rng: np.random.Generator, ranges: CameraRanges) -> Path:
    """A path that stays inside the ranges of distance, elevation, heading and roll at every time."""

    def wave(limits: Range, swing: float, rate: Range) -> Wave:
        """An oscillation over up to `swing` of the range, around a mean that keeps it inside."""
        half = rng.uniform(0, swing) * (limits[1] - limits[0]) / 2
        mean = rng.uniform(limits[0] + half, limits[1] - half)
        return Wave(mean, half, rng.uniform(*rate), rng.uniform())

    limit = np.radians(ranges.heading_limit)
    sweep = min(np.radians(draw(rng, ranges.sweep)), limit)
    field_of_view = np.radians(draw(rng, ranges.field_of_view))
    shake = draw(rng, ranges.shake)
    slow, tremor = (0.05, 0.2), (1.5, 5.0)
    aim_x, aim_y = (320 * ranges.aim[0], 320 * ranges.aim[1]), (240 * ranges.aim[0], 240 * ranges.aim[1])
    return Path(
        focal=320 / float(np.tan(field_of_view / 2)),
        heading=Wave(rng.uniform(sweep - limit, limit - sweep), sweep, rng.uniform(0.1, 0.25), rng.uniform()),
        elevation=wave(_radians(ranges.elevation), 0.4, slow),
        distance=wave(ranges.distance, 0.5, slow),
        aim_x=wave(aim_x, 0.5, slow),
        aim_y=wave(aim_y, 0.5, slow),
        roll=wave(_radians(ranges.roll), 0.5, slow),
        shake_x=Wave(0, shake, rng.uniform(*tremor), rng.uniform()),
        shake_y=Wave(0, shake, rng.uniform(*tremor), rng.uniform()),
        shutter=draw(rng, ranges.shutter),
        readout=draw(rng, ranges.readout),
    )


def _radians(limits: Range) -> Range:
    return float(np.radians(limits[0])), float(np.radians(limits[1]))
