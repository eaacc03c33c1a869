"""Draws the occluders: fingers, coins, glasses and other things on the table."""

from functools import partial

import numpy as np

from cardpose.synth.records import Coin, Finger, Glass, Occluder, Packet
from cardpose.synth.sampling.distributions import OccluderRanges
from cardpose.synth.sampling.draws import colour, draw, one_to_three
from cardpose.synth.sampling.surroundings import sample_object

_BONES_MM = 22.0, 28.0, 38.0  # lengths, from the tip
_RISE = 0.25, 0.5, 0.35  # of each bone, per mm of its length
_HAND_MM = np.array([[0.0, 30], [45, 37], [85, 29], [400, 38]])  # from knuckles to arm: distance, radius
_COIN_THICKNESS_MM = 2.0
_METALS = ((18, 28), (0.4, 0.7)), ((0, 360), (0.0, 0.08)), ((40, 50), (0.35, 0.6))  # copper, silver, gold


def sample_occluders(
    rng: np.random.Generator, ranges: OccluderRanges, packet: Packet
) -> tuple[Occluder, ...]:
    """The occluders of one clip."""
    found: list[Occluder] = []
    if rng.random() < ranges.fingers:
        found += _fingers(rng, ranges, packet)
    if rng.random() < ranges.coins:
        found += [_coin(rng, ranges, packet) for _ in range(one_to_three(rng))]
    if rng.random() < ranges.glasses:
        radius = rng.uniform(28, 40)
        place = _beside(rng, packet, radius, 160)
        found.append(Glass(place, radius, rng.uniform(80, 140), rng.uniform(0.3, 1)))
    if rng.random() < ranges.objects:
        found += [
            sample_object(rng, partial(_beside, rng, packet, within=220))
            for _ in range(int(rng.integers(1, 5)))
        ]
    return tuple(found)


def _beside(rng: np.random.Generator, packet: Packet, radius: float, within: float) -> np.ndarray:
    """A place (3,) on the table at more than `radius` from the packet."""
    angle = rng.uniform(0, 2 * np.pi)
    away = np.hypot(packet.width, packet.height) / 2 + np.abs(packet.offsets).max() + radius
    return (away + rng.uniform(2, within)) * np.array([np.cos(angle), np.sin(angle), 0.0])


def _coin(rng: np.random.Generator, ranges: OccluderRanges, packet: Packet) -> Coin:
    radius = draw(rng, ranges.coin_radius)
    hues, saturation = _METALS[rng.integers(len(_METALS))]
    if rng.random() < 0.5:
        place = _beside(rng, packet, radius, 80)
        place[2] = _COIN_THICKNESS_MM
    else:
        half = np.array([packet.width, packet.height]) / 2
        place = np.append(
            packet.offsets[-1] + rng.uniform(-half, half), packet.thickness + _COIN_THICKNESS_MM
        )
    return Coin(place, radius, colour(rng, hues, saturation, (0.5, 0.85)))


def _fingers(rng: np.random.Generator, ranges: OccluderRanges, packet: Packet) -> list[Finger]:
    """A hand that reaches in from one side, with one to three fingers whose tips are at the packet's border."""
    skin, radius = colour(rng, (14, 32), (0.25, 0.6), (0.35, 0.95)), draw(rng, ranges.finger_radius)
    side = rng.integers(4) * np.pi / 2
    outward, along = np.array([np.cos(side), np.sin(side)]), np.array([-np.sin(side), np.cos(side)])
    depth, length = np.abs([outward, along]) @ np.array([packet.width, packet.height]) / 2
    # Fingers next to each other, nearly parallel.
    number, start, hand = (
        one_to_three(rng),
        rng.uniform(-length, 0.3 * length),
        side + rng.uniform(-0.25, 0.25),
    )
    fingers = []
    for i in range(number):
        inside = rng.uniform(-radius, 10)
        tip = (depth - inside) * outward + (start + i * 2.3 * radius) * along
        on_top = inside > 0
        height = packet.thickness + 0.8 * radius if on_top else max(0.6 * packet.thickness, radius)
        turn = hand + rng.uniform(-0.06, 0.06)
        reach = np.array([np.cos(turn), np.sin(turn)])
        joints = [np.append(tip, height)]
        for bone, rise in zip(_BONES_MM, _RISE, strict=True):
            joints.append(joints[-1] + bone * np.append(reach, rise))
        thickness = radius * np.linspace(1, 1.2, len(joints))
        fingers.append(Finger(np.array(joints[::-1]), thickness[::-1], skin))
    return [_hand(fingers, hand), *fingers]


def _hand(fingers: list[Finger], bearing: float) -> Finger:
    """The hand and arm behind the fingers' knuckles."""
    knuckles = np.mean([finger.joints[0] for finger in fingers], 0)
    back, radii = _HAND_MM.T
    away = np.array([np.cos(bearing), np.sin(bearing), 0.25])
    joints = knuckles + (back + radii[0])[:, None] * away
    return Finger(joints[::-1], radii[::-1], fingers[0].colour)
