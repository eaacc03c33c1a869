"""The records of a clip, which sampling/ draws and rendering/ reads."""

from dataclasses import dataclass, field

import numpy as np

from cardpose.synth.rendering.box import box_corners
from cardpose.synth.rendering.camera import Camera, look_at


@dataclass(frozen=True)
class Packet:
    """n cards in a stack, bottom first. Lengths in mm, angles in radians."""

    cards: int
    width: float
    height: float
    radius: float
    card_thickness: float  # from one card to the next, including the air between them
    offsets: np.ndarray  # (n, 2) of each card's centre
    turns: np.ndarray  # (n,)
    tones: np.ndarray  # (n, P) relative brightness of each card's edge, per facet of the outline
    gap: float  # share of a card's thickness
    gap_shade: float  # brightness of the gaps relative to the cards' edges
    paper: np.ndarray  # (3,) RGB, 0 to 1
    bend: float  # height of the short edges above the middle, mm
    dirt: np.ndarray  # (n, P) of each card's edge, per facet of the outline, 0 to 1
    rounded: bool  # labels lie on the rounded corners

    def lift(self, y: np.ndarray) -> np.ndarray:
        """Height in mm that the bend adds at `y` mm from the card's middle along the long axis."""
        return self.bend * (2 * y / self.height) ** 2

    @property
    def thickness(self) -> float:
        """Height of the packet in mm, without the bend."""
        return self.cards * self.card_thickness

    @property
    def corners(self) -> np.ndarray:
        """(4, 2, 3) world corners in mm, as `box.box_corners`, lifted by the bend: what is labelled.

        The middle of a rounded corner lies inside the point where the edges would meet, by the same length along both.
        """
        inset = self.radius * (1 - np.sqrt(0.5)) if self.rounded else 0.0
        width, height = self.width - 2 * inset, self.height - 2 * inset
        corners = box_corners(width, height, self.thickness, self.offsets, self.turns)
        return corners + np.array([0, 0, self.bend])


@dataclass(frozen=True)
class Face:
    suit: int  # 0 spades, 1 hearts, 2 clubs, 3 diamonds
    rank: int  # 1 ace to 13 king


@dataclass(frozen=True)
class Back:
    """Print of the top card: a back, a face or a picture."""

    family: str
    colour: np.ndarray  # (3,) RGB, 0 to 1
    border: float
    pitch: float
    contrast: float
    face: Face | None
    picture: str | None  # path of a picture used as the back
    wear: float
    scuffs: np.ndarray  # (h, w) local share of the wear, 0 to 1
    medallion: float  # radius of the ornament in the middle, mm; 0 none


@dataclass(frozen=True)
class Table:
    kind: str
    colour: np.ndarray  # (3,) RGB, 0 to 1
    contrast: float
    folds: float
    edge_bearing: float  # direction from the packet to the table's far edge
    reach: float
    wall: np.ndarray  # (3,) RGB beyond the edge, 0 to 1
    texture_seed: int
    picture: str | None  # path of a picture used as the surface
    sheets: tuple["Patch", ...]  # what lies flat on it, lowest first
    room: tuple[
        "Patch", ...
    ]  # what stands beyond the edge, in shares of the image from its upper left corner


@dataclass(frozen=True)
class Patch:
    """A flat convex shape in one colour, with an inlay in another."""

    outline: np.ndarray  # (P, 2)
    colour: np.ndarray  # (3,) RGB, 0 to 1
    inlay: np.ndarray  # (3,) RGB, 0 to 1
    inlay_share: float  # of the outline; 0 none


@dataclass(frozen=True)
class Light:
    direction: np.ndarray  # (3,) unit vector towards the light
    ambient: float
    softness: float
    gloss: float
    shininess: float
    gains: np.ndarray  # (3,) RGB gains: white balance times exposure

    def shade(self, normal: np.ndarray) -> np.ndarray:
        """Irradiance (...) of surfaces with unit normals (..., 3), relative to one that faces up."""
        diffuse = np.maximum(normal @ self.direction, 0) / self.direction[2]
        return self.ambient * (0.8 + 0.2 * normal[..., 2]) + (1 - self.ambient) * np.minimum(diffuse, 1.4)


@dataclass(frozen=True)
class Finger:
    """A finger, or a hand with its arm: a chain of rounded cones."""

    joints: np.ndarray  # (n, 3) to the tip, mm
    radii: np.ndarray  # (n,) at the joints
    colour: np.ndarray  # (3,) RGB, 0 to 1

    @property
    def place(self) -> np.ndarray:
        """(3,) the tip, mm."""
        return self.joints[-1]


@dataclass(frozen=True)
class Coin:
    place: np.ndarray  # (3,) centre of its upper face, mm
    radius: float
    colour: np.ndarray  # (3,) RGB, 0 to 1


@dataclass(frozen=True)
class Glass:
    place: np.ndarray  # (3,) centre of its foot, mm
    radius: float
    height: float
    clearness: float  # brightness of its rims, 0 to 1


@dataclass(frozen=True)
class Prism:
    """An upright prism on the table: a phone, a book, a mug, a die."""

    top: Patch  # its upper face, mm
    height: float
    side: np.ndarray  # (3,) RGB, 0 to 1

    @property
    def place(self) -> np.ndarray:
        """(3,) its centre on the table, mm."""
        return np.append(self.top.outline.mean(0), 0.0)


Occluder = Finger | Coin | Glass | Prism


@dataclass(frozen=True)
class Sensor:
    defocus: float
    depth_blur: float
    noise: float
    vignette: float
    sharpening: float  # strength of an unsharp mask
    saturation: float  # factor
    contrast: float  # of the tone curve, 0 linear


@dataclass(frozen=True)
class Wave:
    """A quantity that oscillates around a mean; `rate` in hertz."""

    mean: float
    amplitude: float
    rate: float
    phase: float

    def __call__(self, time: float) -> float:
        return self.mean + self.amplitude * np.sin(2 * np.pi * (self.rate * time + self.phase))


@dataclass(frozen=True)
class Path:
    """The path of a hand-held camera around the packet over time. Angles in radians, lengths in mm, times in s."""

    focal: float  # of a 640 px wide image, scaled with the image
    heading: Wave  # 0: the camera faces the lower short edge
    elevation: Wave
    distance: Wave
    aim_x: Wave  # pixels of a 640 px wide image
    aim_y: Wave
    roll: Wave
    shake_x: Wave
    shake_y: Wave
    shutter: float
    readout: float

    def camera(self, time: float, width: int, height: int, target: np.ndarray) -> Camera:
        """The camera at `time`, for images of `width` x `height` pixels; `target` (3,) is at the aim."""
        heading, elevation, distance = self.heading(time), self.elevation(time), self.distance(time)
        bearing = np.array([np.sin(heading), -np.cos(heading)])
        position = target + distance * np.append(np.cos(elevation) * bearing, np.sin(elevation))
        aim = np.array([self.aim_x(time) + self.shake_x(time), self.aim_y(time) + self.shake_y(time)])
        scale = width / 640
        rotation = look_at(position, target, aim * scale, self.roll(time), self.focal * scale)
        return Camera(rotation, position, self.focal * scale, width, height)


@dataclass(frozen=True)
class Shot:
    """One frame of a clip."""

    index: int
    timestamp: float  # s
    camera: Camera  # at mid-exposure of the middle row
    motion: np.ndarray  # (2,) displacement of the packet's centre in the image during the exposure, pixels
    noise_offset: tuple[int, int]  # origin of this frame in the noise field, 0 to 63


@dataclass(frozen=True)
class Clip:
    """A packet on a table, filmed for a few seconds."""

    number: int
    seed: int
    width: int
    height: int
    frames: int
    rate: float
    packet: Packet
    back: Back
    table: Table
    light: Light
    sensor: Sensor
    path: Path
    occluders: tuple[Occluder, ...]
    empty: bool = False  # the packet is neither drawn nor labelled
    target: np.ndarray = field(init=False)  # (3,) the packet's centre, mm

    def __post_init__(self) -> None:
        object.__setattr__(self, "target", np.array([0, 0, self.packet.thickness / 2]))

    def camera(self, time: float) -> Camera:
        """The camera at `time` seconds."""
        return self.path.camera(time, self.width, self.height, self.target)
