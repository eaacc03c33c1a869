"""What a scene is drawn from: one range a quantity, given by conf/scene, checked here.

Every range is (low, high), drawn uniformly unless its comment says otherwise.
"""

from collections.abc import Collection
from dataclasses import dataclass, fields
from math import isfinite

from cardpose.common.errors import InputError
from cardpose.synth.rendering.textures import FAMILIES, TABLES
from cardpose.synth.sampling import pictures

Range = tuple[float, float]


@dataclass(frozen=True)
class Distributions:
    """Checks, for every subclass, that each range has two finite numbers in order."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            key = f"{type(self).__name__}.{field.name}"
            if field.type is Range and not _is_range(value):
                raise InputError(
                    f"conf/scene, {key}: {value!r} is no range: write [low, high] with low <= high"
                )


def _check_names(key: str, names: tuple[str, ...], known: Collection[str]) -> None:
    """ErrorHandler of an empty choice, or of one that names what there is not."""
    if not names:
        raise InputError(f"conf/scene, {key}: is empty: name at least one of {', '.join(known)}")
    unknown = [name for name in names if name not in known]
    if unknown:
        raise InputError(f"conf/scene, {key}: no {unknown[0]!r}: choose among {', '.join(known)}")


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
    slip: Range  # a card's offset from the stack's axis, mm
    twist: Range  # a card's turn about the vertical, degrees
    gap: Range  # share of a card's thickness that is the dark line between two cards
    gap_shade: Range  # brightness of that line against the cards' edges
    tone: Range  # standard deviation of the brightness from card to card
    warmth: Range  # from cool white (0) to old ivory (1) paper
    lean: Range  # how far the stack leans to a side, mm for each mm of height
    puff: Range  # air between the cards of a loose packet, share of their thickness
    bend: Range  # by how much the short edges stand higher than the middle
    dirt: Range  # of the cards' edges, where hands hold and shuffle them; 0 none, 1 black
    bridge: float  # share of packets of the narrower bridge cards, 57 mm, whatever `width` says


@dataclass(frozen=True)
class BackRanges(Distributions):
    """The pattern on the top card. `families` is a choice among `textures.FAMILIES`."""

    families: tuple[str, ...]
    classic: float  # share of backs in a red or a blue, whatever `hues` says
    hues: Range  # degrees; 0 is red, 240 blue
    saturation: Range  # 0 to 1
    value: Range  # 0 to 1
    border: Range  # white border, mm
    borderless: float  # share of backs that are printed to the edge
    faces: float  # share of clips in which the top card shows its face
    pictures: str | None  # a folder of pictures of backs, or null
    picture_share: float  # of clips whose back is one of them
    wear: Range  # width of the band along the top card's edge in which the ink is rubbed off, mm
    pitch: Range  # of the pattern, mm
    contrast: Range  # of the pattern's light lines against the back's colour

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_names("BackRanges.families", self.families, FAMILIES)
        if self.pictures is not None:
            pictures.find(self.pictures)


@dataclass(frozen=True)
class CameraRanges(Distributions):
    """A hand-held orbit: every quantity swings about a mean. Angles in degrees, lengths in mm."""

    field_of_view: Range  # horizontal
    distance: Range  # from the packet's centre
    elevation: Range  # of the camera over the table
    heading_limit: float  # the camera's bearing off the packet's long axis stays below this
    sweep: Range  # half the range of bearings within a clip
    aim: Range  # of the packet's centre off the image's middle, in half images
    roll: Range
    shake: Range  # amplitude of the hand's tremor, pixels
    shutter: Range  # exposure time, s
    readout: Range  # of a rolling shutter, from the first row to the last, s


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
    picture_share: float  # of clips whose table is one of them

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_names("TableRanges.kinds", self.kinds, TABLES)
        if self.pictures is not None:
            pictures.find(self.pictures)


@dataclass(frozen=True)
class LightRanges(Distributions):
    """One main light and the room's diffuse light. Angles in degrees."""

    bearing: Range
    elevation: Range
    ambient: Range  # share of the light that comes from everywhere
    softness: Range  # standard deviation of the penumbra, mm for each mm of height
    gloss: Range  # strength of the streak on the top card
    shininess: Range  # exponent of the streak
    tint: Range  # white balance, from cool (-1) to warm (+1)
    exposure: Range


@dataclass(frozen=True)
class SensorRanges(Distributions):
    """Lens and sensor."""

    defocus: Range  # standard deviation of the blur, pixels of a 640 px wide image
    depth_blur: (
        Range  # how much the table blurs with its distance from the packet, levels of the texture pyramid
    )
    noise: Range  # standard deviation, grey levels
    vignette: Range  # loss of light in the image's corners


@dataclass(frozen=True)
class OccluderRanges(Distributions):
    """What lies about: shares of clips, lengths in mm."""

    fingers: float  # share of clips in which one to three fingers touch the packet
    finger_radius: Range
    coins: float  # share of clips with one to three coins, on the table or on the packet
    coin_radius: Range
    glasses: float  # share of clips with a glass beside the packet


@dataclass(frozen=True)
class SceneConfig:
    """All distributions of one choice of conf/scene."""

    packet: PacketRanges
    back: BackRanges
    camera: CameraRanges
    table: TableRanges
    light: LightRanges
    sensor: SensorRanges
    occluders: OccluderRanges
