"""The distributions of a scene: one range per quantity, from conf/scene, validated here.

Every range is (low, high) of a uniform distribution unless its comment states otherwise.
"""

from collections.abc import Collection
from dataclasses import dataclass, fields
from math import isfinite

from cardpose.common.errors import InputError
from cardpose.synth.rendering.prints import PRINTED
from cardpose.synth.rendering.textures import FAMILIES, TABLES
from cardpose.synth.sampling import pictures

Range = tuple[float, float]


@dataclass(frozen=True)
class Distributions:
    """Base class that checks that each range is two finite numbers in order."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            key = f"{type(self).__name__}.{field.name}"
            if field.type is Range and not _is_range(value):
                raise InputError(
                    f"conf/scene, {key}: {value!r} is not a range: write [low, high] with low <= high"
                )


def _check_names(key: str, names: tuple[str, ...], known: Collection[str]) -> None:
    """Raise InputError if `names` is empty or not a subset of `known`."""
    if not names:
        raise InputError(f"conf/scene, {key}: is empty: name at least one of {', '.join(known)}")
    unknown = [name for name in names if name not in known]
    if unknown:
        raise InputError(f"conf/scene, {key}: unknown {unknown[0]!r}: choose among {', '.join(known)}")


def _is_range(value: object) -> bool:
    if not isinstance(value, list | tuple) or len(value) != 2:
        return False
    numbers = all(isinstance(end, int | float) and isfinite(end) for end in value)
    return numbers and value[0] <= value[1]


@dataclass(frozen=True)
class PacketRanges(Distributions):
    """The packet: lengths in mm, `slip` and `twist` are standard deviations of a normal distribution."""

    width: float
    height: float
    radius: float
    thickness: Range  # of one card, the same for all cards of a clip
    slip: Range  # a card's offset from the axis of the stack, mm
    twist: Range  # a card's rotation about the vertical, degrees
    gap: Range  # width of the dark line between two cards, share of a card's thickness
    gap_shade: Range  # brightness of that line relative to the cards' edges
    tone: Range  # standard deviation of the brightness from card to card
    warmth: Range  # from cool white (0) to old ivory (1) paper
    lean: Range  # lateral lean of the stack, mm per mm of height
    puff: Range  # air between the cards of a loose packet, share of their thickness
    bend: Range  # height of the short edges above the middle, mm
    dirt: Range  # on the cards' edges; 0 none, 1 black
    bridge: float  # share of packets of bridge cards, 57 mm wide instead of `width`
    absent: float  # share of clips that show no packet
    rounded: bool  # label the middle of a card's rounded corner, as people do, not where its edges would meet


@dataclass(frozen=True)
class BackRanges(Distributions):
    """The pattern on the top card. `families` is a choice among `textures.FAMILIES`."""

    families: tuple[str, ...]
    classic: float  # share of backs in red or blue instead of `hues`
    hues: Range  # degrees; 0 is red, 240 blue
    saturation: Range  # 0 to 1
    value: Range  # 0 to 1
    border: Range  # white border, mm
    borderless: float  # share of backs printed to the edge
    faces: float  # share of clips whose top card shows its face
    pictures: str | None  # a folder of pictures of backs, or null
    picture_share: float  # share of clips that use one of them
    wear: Range  # width of the band along the top card's edge in which the ink is rubbed off, mm
    pitch: Range  # of the pattern, mm
    contrast: Range  # of the pattern against the back's colour
    medallions: float  # share of backs with an ornament in the middle

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_names("BackRanges.families", self.families, FAMILIES)
        if self.pictures is not None:
            pictures.find(self.pictures)


@dataclass(frozen=True)
class CameraRanges(Distributions):
    """A hand-held orbit: every quantity oscillates around a mean. Angles in degrees, lengths in mm."""

    field_of_view: Range  # horizontal
    distance: Range  # from the packet's centre
    elevation: Range  # of the camera above the table
    heading_limit: float  # largest angle between the camera's bearing and the packet's long axis
    sweep: Range  # half the range of bearings within a clip
    aim: Range  # offset of the packet's centre from the image centre, in half images
    roll: Range
    shake: Range  # amplitude of the hand's tremor, pixels
    shutter: Range  # exposure time, s
    readout: Range  # rolling shutter: from the first row to the last, s


@dataclass(frozen=True)
class TableRanges(Distributions):
    """The table. `kinds` is a choice among `textures.TABLES`."""

    kinds: tuple[str, ...]
    hues: Range  # of cloth and felt, degrees
    saturation: Range
    value: Range
    contrast: Range  # of the texture
    folds: Range  # depth of the large-scale shading
    reach: Range  # distance from the packet to the table's far edge, mm
    pictures: str | None  # a folder of pictures of tables, each shown 0.34 m wide, or null
    picture_share: float  # share of clips that use one of them
    sheets: float  # share of tables on which sheets of paper or cloth lie
    room: float  # share of clips with furniture and windows beyond the table's edge
    pale: float  # share of tables as pale as the edges of cards

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_names("TableRanges.kinds", self.kinds, (*TABLES, PRINTED))
        if self.pictures is not None:
            pictures.find(self.pictures)


@dataclass(frozen=True)
class LightRanges(Distributions):
    """One main light and ambient light. Angles in degrees."""

    bearing: Range
    elevation: Range
    ambient: Range  # share of the ambient light
    softness: Range  # standard deviation of the penumbra, mm per mm of height
    gloss: Range  # strength of the specular highlight on the top card
    shininess: Range  # exponent of the highlight
    tint: Range  # white balance, from cool (-1) to warm (+1)
    exposure: Range


@dataclass(frozen=True)
class SensorRanges(Distributions):
    """Lens and sensor."""

    defocus: Range  # standard deviation of the blur, pixels of a 640 px wide image
    depth_blur: Range  # blur of the table with the distance from the packet, levels of the texture
    noise: Range  # standard deviation, grey levels
    vignette: Range  # light fall-off in the image corners
    sharpening: Range  # strength of the phone's unsharp mask
    saturation: Range  # factor
    contrast: Range  # of the tone curve; 0 is linear, 1 an S-shaped curve


@dataclass(frozen=True)
class OccluderRanges(Distributions):
    """Fingers, coins and glasses: shares of clips, lengths in mm."""

    fingers: float  # share of clips in which one to three fingers touch the packet
    finger_radius: Range
    coins: float  # share of clips with one to three coins, on the table or on the packet
    coin_radius: Range
    glasses: float  # share of clips with a glass beside the packet
    objects: float  # share of clips with phones, books, mugs and the like on the table


@dataclass(frozen=True)
class SceneConfig:
    """All distributions of a file of conf/scene."""

    packet: PacketRanges
    back: BackRanges
    camera: CameraRanges
    table: TableRanges
    light: LightRanges
    sensor: SensorRanges
    occluders: OccluderRanges
