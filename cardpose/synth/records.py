"""What a scene is: the records that scene.py draws and the renderer reads."""

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
    card_thickness: float  # from one card to the next, the air between them included
    offsets: np.ndarray  # (n, 2) of each card's centre
    turns: np.ndarray  # (n,)
    tones: np.ndarray  # (n, P) brightness of each card's edge along the outline's facets, about 1
    gap: float  # share of a card's thickness
    gap_shade: float  # brightness of the gaps against the cards' edges
    paper: np.ndarray  # (3,) RGB, 0 to 1
    bend: float  # by how much the short edges stand higher than the middle
    dirt: np.ndarray  # (n, P) of each card's edge along the outline's facets, 0 to 1

    def lift(self, y: np.ndarray) -> np.ndarray:
        """Height that the bend adds at `y` mm along the long axis, from the card's middle."""
        return self.bend * (2 * y / self.height) ** 2

    @property
    def thickness(self) -> float:
        return self.cards * self.card_thickness

    @property
    def corners(self) -> np.ndarray:
        """(4, 2, 3) world corners, as `box.box_corners`; all of them are at the short edges, lifted by the bend."""
        corners = box_corners(self.width, self.height, self.thickness, self.offsets, self.turns)
        return corners + np.array([0, 0, self.bend])


@dataclass(frozen=True)
class Face:
    suit: int  # 0 spades, 1 hearts, 2 clubs, 3 diamonds
    rank: int  # 1 ace to 13 king


@dataclass(frozen=True)
class Back:
    """What the top card shows: a back, or the face."""

    family: str
    colour: np.ndarray  # (3,) RGB, 0 to 1
    border: float
    pitch: float
    contrast: float
    face: Face | None
    picture: str | None  # path of the picture that is the back
    wear: float
    scuffs: np.ndarray  # (h, w) 0 to 1, how much of the wear is met with where


@dataclass(frozen=True)
class Table:
    kind: str
    colour: np.ndarray  # (3,) RGB, 0 to 1
    contrast: float
    folds: float
    edge_bearing: float  # direction, from the packet, of the table's far edge, radians
    reach: float
    wall: np.ndarray  # (3,) RGB of what lies beyond the edge
    texture_seed: int
    picture: str | None  # path of the picture that is the surface


@dataclass(frozen=True)
class Light:
    direction: np.ndarray  # (3,) unit vector towards the light
    ambient: float
    softness: float
    gloss: float
    shininess: float
    gains: np.ndarray  # (3,) RGB gains: white balance times exposure

    def shade(self, normal: np.ndarray) -> np.ndarray:
        """Light on surfaces with unit normals (..., 3), 1 on one that faces straight up."""
        diffuse = np.maximum(normal @ self.direction, 0) / self.direction[2]
        return self.ambient * (0.8 + 0.2 * normal[..., 2]) + (1 - self.ambient) * np.minimum(diffuse, 1.4)


@dataclass(frozen=True)
class Finger:
    """A finger, or a hand with its arm: round about a line from joint to joint."""

    joints: np.ndarray  # (n, 3) to the tip, mm
    radii: np.ndarray  # (n,) at the joints
    colour: np.ndarray  # (3,) RGB, 0 to 1

    @property
    def place(self) -> np.ndarray:
        return self.joints[-1]


@dataclass(frozen=True)
class Coin:
    place: np.ndarray  # (3,) its upper face's middle, mm
    radius: float
    colour: np.ndarray  # (3,) RGB, 0 to 1


@dataclass(frozen=True)
class Glass:
    place: np.ndarray  # (3,) its foot's middle, mm
    radius: float
    height: float
    clearness: float  # brightness of its rims, 0 to 1


Occluder = Finger | Coin | Glass


@dataclass(frozen=True)
class Sensor:
    defocus: float
    depth_blur: float
    noise: float
    vignette: float


@dataclass(frozen=True)
class Wave:
    """A quantity that swings about a mean; `rate` in hertz."""

    mean: float
    amplitude: float
    rate: float
    phase: float

    def __call__(self, time: float) -> float:
        return self.mean + self.amplitude * np.sin(2 * np.pi * (self.rate * time + self.phase))


@dataclass(frozen=True)
class Path:
    """The way of a hand-held camera around the packet, over time in s. Angles in radians, lengths in mm."""

    focal: float  # of a 640 px wide image, scaled with the image
    heading: Wave  # 0: the camera stands before the lower short edge
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
    camera: Camera  # in the middle of the exposure of the middle row
    motion: np.ndarray  # (2,) way of the packet's centre in the image during the exposure, pixels
    noise_offset: tuple[int, int]  # where in the clip's noise field this frame's noise starts, 0 to 63


@dataclass(frozen=True)
class Clip:
    """One clip: a packet on a table, filmed for a few seconds."""

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
    target: np.ndarray = field(init=False)  # (3,) what the camera looks at: the packet's centre

    def __post_init__(self) -> None:
        object.__setattr__(self, "target", np.array([0, 0, self.packet.thickness / 2]))

    def camera(self, time: float) -> Camera:
        return self.path.camera(time, self.width, self.height, self.target)
