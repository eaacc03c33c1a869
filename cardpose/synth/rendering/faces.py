"""Card faces: index, pips, and court cards as a double portrait of coloured shapes."""

import cv2
import numpy as np

from cardpose.synth.records import Face, Packet

Colour = tuple[int, int, int]

_RED, _BLACK, _SKIN = (204, 20, 26), (15, 15, 18), (237, 204, 178)
_COURT = ((217, 38, 26), (26, 51, 153), (242, 204, 38), (15, 15, 18))
_RANKS = ("A", *map(str, range(2, 11)), "J", "Q", "K")
_INDEX_MM = 8, 17
_BITS = 4
# Heights of the pips, -1 (bottom) to 1 (top), in the outer columns and in the middle one.
_LAYOUT: dict[int, tuple[tuple[float, ...], tuple[float, ...]]] = {
    1: ((), (0.0,)),
    2: ((), (-1.0, 1.0)),
    3: ((), (-1.0, 0.0, 1.0)),
    4: ((-1.0, 1.0), ()),
    5: ((-1.0, 1.0), (0.0,)),
    6: ((-1.0, 0.0, 1.0), ()),
    7: ((-1.0, 0.0, 1.0), (0.5,)),
    8: ((-1.0, 0.0, 1.0), (-0.5, 0.5)),
    9: ((-1.0, -0.33, 0.33, 1.0), (0.0,)),
    10: ((-1.0, -0.33, 0.33, 1.0), (-0.67, 0.67)),
}


def card_face(face: Face, packet: Packet, px_per_mm: float) -> np.ndarray:
    """(height, width, 3) float32 RGB, 0 to 1, with +y of the world up. Symmetric under half a turn."""
    w, h = round(packet.width * px_per_mm), round(packet.height * px_per_mm)
    card = np.empty((h, w, 3), np.uint8)  # the only type on which OpenCV draws text
    card[:] = np.round(255 * packet.paper)
    ink = _RED if face.suit % 2 else _BLACK
    if face.rank > 10:
        _draw_court(card, face, px_per_mm)
    else:
        sides, middle = _LAYOUT[face.rank]
        size = (9.0 if face.rank == 1 else 4.5) * px_per_mm
        x, y = 0.24 * w, 0.33 * h
        places = [(column * x, row * y) for column in (-1, 1) for row in sides] + [
            (0.0, row * y) for row in middle
        ]
        for dx, dy in places:
            _draw_pip(card, face.suit, w / 2 + dx, h / 2 - dy, size if dy >= 0 else -size, ink)
    _draw_index(card, face, ink, px_per_mm)
    # The lower half, or the second index, is the first one turned.
    other = card[::-1, ::-1].copy()
    if face.rank > 10:
        card[h // 2 :] = other[h // 2 :]
    else:
        index = np.s_[h - round(_INDEX_MM[1] * px_per_mm) :, w - round(_INDEX_MM[0] * px_per_mm) :]
        card[index] = other[index]
    return card.astype(np.float32) / 255


def _fill(card: np.ndarray, points: np.ndarray, colour: Colour) -> None:
    cv2.fillPoly(card, [np.round(points * (1 << _BITS)).astype(np.int32)], colour, cv2.LINE_AA, _BITS)


def _draw_pip(card: np.ndarray, suit: int, x: float, y: float, size: float, ink: Colour) -> None:
    """A suit symbol centred on (x, y), `size` pixels to either side; a negative size turns it upside down."""
    t = np.linspace(0, 2 * np.pi, 48)
    circle = np.stack([np.cos(t), np.sin(t)], 1)
    stem = np.array([[-0.35, 1.0], [0.35, 1.0], [0.06, 0.1], [-0.06, 0.1]])
    # x = 16 sin^3 t is the well-known heart curve (https://mathworld.wolfram.com/HeartCurve.html).
    heart = np.stack(
        [16 * np.sin(t) ** 3, -13 * np.cos(t) + 5 * np.cos(2 * t) + 2 * np.cos(3 * t) + np.cos(4 * t)], 1
    )
    shapes = {
        0: [heart * [1, -1] / 17 - [0, 0.1], stem],
        1: [heart / 17],
        2: [0.42 * circle + [0, -0.5], 0.42 * circle + [-0.5, 0.15], 0.42 * circle + [0.5, 0.15], stem],
        3: [np.array([[0, -1.0], [0.75, 0], [0, 1.0], [-0.75, 0]])],
    }
    for shape in shapes[suit]:
        _fill(card, np.array([x, y]) + size * shape, ink)


def _draw_index(card: np.ndarray, face: Face, ink: Colour, px_per_mm: float) -> None:
    """Rank and suit in the upper left corner."""
    label = _RANKS[face.rank - 1]
    scale = 0.26 * px_per_mm
    thickness = max(1, round(0.7 * px_per_mm))
    place = round((2.0 if len(label) == 1 else 0.8) * px_per_mm), round(9 * px_per_mm)
    cv2.putText(card, label, place, cv2.FONT_HERSHEY_SIMPLEX, scale, ink, thickness, cv2.LINE_AA)
    _draw_pip(card, face.suit, 4.5 * px_per_mm, 13.5 * px_per_mm, 2.2 * px_per_mm, ink)


def _draw_court(card: np.ndarray, face: Face, px_per_mm: float) -> None:
    """The upper half of a portrait in a frame: robe, head and crown."""
    h, w = card.shape[:2]
    left, top = 9 * px_per_mm, 8 * px_per_mm
    rng = np.random.default_rng([face.suit, face.rank])
    middle = w / 2
    # The robe: random shapes in four colours.
    for i in range(14):
        colour = _COURT[int(rng.integers(4))]
        x = left + (w - 2 * left) * rng.uniform(0, 1, 4)
        y = h / 2 - (h / 2 - top) * rng.uniform(0, 0.55, 4)
        if i % 2:
            _fill(card, np.stack([x, y], 1), colour)
        else:
            cv2.circle(card, (round(x[0]), round(y[0])), round(2.5 * px_per_mm), colour, -1, cv2.LINE_AA)
    # Head and crown.
    t = np.linspace(0, 2 * np.pi, 40)
    head = np.stack([7 * np.cos(t), 8.5 * np.sin(t)], 1) * px_per_mm
    _fill(card, head + np.array([middle, h * 0.27]), _SKIN)
    crown = np.array([[-8, 0], [8, 0], [9, -7], [4, -3], [0, -8], [-4, -3], [-9, -7]]) * px_per_mm
    _fill(card, crown + np.array([middle, h * 0.19]), _COURT[face.rank % 3])
    frame = [round(left), round(top)], [round(w - left), round(h - top)]
    cv2.rectangle(card, frame[0], frame[1], _COURT[1], max(1, round(0.35 * px_per_mm)), cv2.LINE_AA)
