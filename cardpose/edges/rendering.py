"""Rendered strips with the centre lines of their cards: hundreds a second, to train on.

A strip is drawn at `FINE` rows a nominal card, blurred, sampled at the source's pitch, given the faults of a camera and
resampled to `strips.ROWS` rows, as a strip that was cut out of a frame.
"""

from typing import NamedTuple

import cv2
import numpy as np

from cardpose.edges.strips import COLUMNS, ROWS

FINE = 16
"""Rows a nominal card while drawing."""
KINDS = ("packet", "book", "planks", "texture")


class RenderedStrip(NamedTuple):
    """A strip and the truth.

    Args:
        image: (rows, columns, 3) uint8 RGB.
        lines: (n, columns) row of each card's centre, top card first; no row for what is no packet.
        pitch: source pixels a nominal card.
        blur: standard deviation of the blur across the cards, source pixels.
        kind: of `KINDS`.
        wear: 0 a new deck, 1 a worn one.
    """

    image: np.ndarray
    lines: np.ndarray
    pitch: float
    blur: float
    kind: str
    wear: float


def render_strip(
    rng: np.random.Generator,
    cards: int,
    rows: int,
    columns: int = COLUMNS,
    top: float = 0.0,
    pitch: float | None = None,
    kind: str = "packet",
) -> RenderedStrip:
    """Render a strip.

    Args:
        cards: of the packet; lines of what is no packet.
        rows, columns: of the strip.
        top: nominal cards above the packet; below 0 the packet begins above the strip.
        pitch: source pixels a nominal card; None: drawn from 1.5 to 13.
        kind: of `KINDS`.
    """
    pitch = float(np.exp(rng.uniform(np.log(1.5), np.log(13)))) if pitch is None else pitch
    wear = float(rng.random()) ** 1.5
    height = rows * FINE // ROWS
    x = np.linspace(-1, 1, columns)
    tops, bottoms, gap = _borders(rng, cards, x, wear, kind)
    tops, bottoms = tops + top * FINE, bottoms + top * FINE
    fine = _draw(rng, tops, bottoms, gap, height, x, wear, kind)
    image, blur = _photograph(rng, fine, pitch, rows, columns)
    lines = ((tops + bottoms) / 2 + 0.5) * ROWS / FINE - 0.5
    return RenderedStrip(image, lines if kind == "packet" else lines[:0], pitch, blur, kind, wear)


def _smooth(rng: np.random.Generator, shape: tuple[int, int], knots: tuple[int, int]) -> np.ndarray:
    """Smooth normal noise (h, w) with this many knots along each axis."""
    field = rng.standard_normal((max(2, knots[0]), max(2, knots[1]))).astype(np.float32)
    return cv2.resize(field, shape[::-1], interpolation=cv2.INTER_CUBIC)


def _borders(
    rng: np.random.Generator, cards: int, x: np.ndarray, wear: float, kind: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Upper and lower border (n, columns) of each card, fine rows, and the relative width (n,) of the gap below."""
    mean = FINE * rng.uniform(0.72, 1.38)
    uneven = rng.uniform(0.0, 0.03)
    if kind == "book":
        mean, uneven = FINE * rng.uniform(0.25, 0.6), rng.uniform(0.02, 0.4)
    elif kind != "packet":
        mean, uneven = FINE * np.exp(rng.uniform(np.log(0.4), np.log(5))), rng.uniform(0.25, 0.8)
    loose = rng.choice([0.0, 0.05, 0.25], p=[0.4, 0.3, 0.3]) * rng.random()
    gap = rng.uniform(0.08, 0.38) * np.exp(rng.normal(0, 0.25 + 0.3 * wear, cards))
    gap = np.clip(gap + loose * rng.exponential(1.0, cards), 0.02, 1.6)
    thick = np.exp(rng.normal(0, uneven, cards))
    step = mean * np.maximum(thick * (1 - gap.clip(0, 0.4)) + gap, 0.4)
    upper = np.concatenate([[0.0], np.cumsum(step)[:-1]])
    level = upper[:, None] + np.zeros((1, len(x)))
    # The whole packet leans and bends; single cards tilt and warp a little, never through their neighbours.
    slope, bend = rng.normal(0, 0.7) * FINE * 0.7, rng.normal(0, 0.5) * FINE * 0.5
    level = level + slope * x + bend * x**2
    fan = rng.normal(0, 0.03)
    level = level + fan * (upper - upper.mean())[:, None] * x
    if cards > 1:
        free = 0.25 * mean * min(1.0, float(gap.mean()) * 2) * (0.3 + wear)
        level = level + free * np.clip(_smooth(rng, (cards, len(x)), (max(2, cards // 2), 4)), -2, 2) * 0.5
    below = np.concatenate([level[1:], level[-1:] + step[-1]])
    share = np.clip(gap * mean / step, 0.02, 0.6)
    return level, below - share[:, None] * (below - level), gap


def _colour(rng: np.random.Generator, value: tuple[float, float], saturation: float) -> np.ndarray:
    return np.clip(rng.uniform(*value) * (1 + saturation * rng.uniform(-1, 1, 3)), 0.01, 1.3)


def _surface(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """(h, w, 3) a table or a card seen from above: plain, woven, striped or printed."""
    h, w = shape
    colour = _colour(rng, (0.08, 0.95), rng.choice([0.1, 0.5]))
    picture = np.ones((h, w, 1)) * colour
    kind = rng.integers(5)
    strength = rng.uniform(0.02, 0.5)
    if kind == 1:  # stripes along the cards, as wood and the pattern of a back
        lines = _smooth(rng, (h, w), (int(h / rng.uniform(3, 40)), 2))
        picture = picture * np.exp(strength * lines)[..., None]
    elif kind == 2:  # cloth
        grain = _smooth(rng, (h, w), (h // 5, w))
        picture = picture * np.exp(0.5 * strength * grain)[..., None]
    elif kind == 3:  # regular lines, at a pitch of their own
        y = np.arange(h)[:, None] + rng.normal(0, 8) * np.linspace(-1, 1, w)
        lines = np.sin(2 * np.pi * y / rng.uniform(0.5 * FINE, 4 * FINE))
        fade = np.clip(_smooth(rng, (h, w), (3, 3)), 0, 1)
        picture = picture * np.exp(strength * fade * lines)[..., None]
    elif kind == 4:  # print in two colours
        mask = _smooth(rng, (h, w), (max(2, h // 20), max(2, w // 6))) > 0
        picture = np.where(mask[..., None], picture, _colour(rng, (0.1, 1.0), 0.4))
    return picture


def _draw(
    rng: np.random.Generator,
    tops: np.ndarray,
    bottoms: np.ndarray,
    gap: np.ndarray,
    height: int,
    x: np.ndarray,
    wear: float,
    kind: str,
) -> np.ndarray:
    """(height, columns, 3) float32, 0 to about 1: surface above, cards and gaps, table below."""
    cards, columns = tops.shape
    if kind == "texture":
        return _surface(rng, (height, columns)).astype(np.float32)
    y = np.arange(height, dtype=np.float32)[:, None]
    starts = np.clip(np.round(tops), -1, height).astype(int)
    marks = np.zeros((height + 2, columns), np.int32)
    np.add.at(marks, (starts + 1, np.broadcast_to(np.arange(columns), starts.shape)), 1)
    index = np.cumsum(marks, 0)[1:-1] - 1  # the card at or above each row, -1 above the packet
    own = np.clip(index, 0, cards - 1)
    column = np.arange(columns)
    upper, lower = tops[own, column], bottoms[own, column]
    middle = (y - upper) / np.maximum(lower - upper, 1.0)  # 0 to 1 inside the card
    # Edge of each card: paper, tone of its own, rounded, frayed; black or gilt decks too.
    look = rng.choice(["paper", "gilt", "dark", "core"], p=[0.76, 0.08, 0.06, 0.10])
    paper = {
        "paper": _colour(rng, (0.45, 1.0), 0.12),
        "gilt": np.array([0.8, 0.62, 0.3]) * rng.uniform(0.5, 1.2),
        "dark": _colour(rng, (0.06, 0.3), 0.3),
        "core": _colour(rng, (0.5, 1.0), 0.1),
    }[look]
    tone = np.exp(rng.normal(0, rng.uniform(0.01, 0.06 + 0.08 * wear), (cards, 1)))
    tone = tone * np.exp(0.12 * wear * _smooth(rng, (cards, columns), (cards, 8)))
    out = rng.normal(0, 1, cards) + 0.8 * _smooth(rng, (cards, 1 + 1), (max(2, cards // 6), 2))[:, 0]
    tone = tone * np.exp(rng.uniform(0, 0.08) * out)[:, None]
    shape = 1 - rng.uniform(0, 0.4) * np.abs(2 * middle - 1) ** rng.uniform(1.5, 6)
    edge = (tone[own, column] * shape)[..., None] * paper
    if look == "core":
        core = np.exp(-(((middle - rng.uniform(0.4, 0.6)) / rng.uniform(0.08, 0.16)) ** 2))
        edge = edge * (1 - rng.uniform(0.2, 0.6) * core)[..., None]
    if rng.random() < 0.3:  # ink of the back, or of the face, bleeds over the edge
        ink, depth = _colour(rng, (0.05, 0.6), 0.9), rng.uniform(0.05, 0.3)
        where = np.clip((depth - middle if rng.random() < 0.5 else middle - 1 + depth) / 0.05, 0, 1)
        where = where * np.clip(0.5 + _smooth(rng, (cards, columns), (cards, 6))[own, column], 0, 1)
        edge = edge * (1 - where[..., None]) + where[..., None] * ink * edge.mean()
    # Gaps: darker the wider they are and where the card above sticks out; some are nearly closed.
    shade = rng.uniform(0.15, 0.85) if rng.random() > 0.05 else rng.uniform(1.05, 1.4)
    dark = np.exp(rng.normal(0, 0.2 + 0.3 * wear, (cards, 1)) + 0.3 * wear * rng.standard_normal((cards, 1)))
    faint = rng.random(cards) < 0.12 * wear
    dark = dark * np.where(faint, rng.uniform(0.3, 0.7, cards), 1.0)[:, None]
    dark = dark * np.exp(0.25 * _smooth(rng, (cards, columns), (cards, 5)))
    below = np.log(shade) * np.clip(dark, 0.15, 2.5)
    hollow = np.exp(below)[own, column][..., None] * paper * tone[own, column][..., None]
    soft = np.clip((lower - y) / rng.uniform(0.5, 2.5) + 0.5, 0, 1)[..., None]
    picture = soft * edge + (1 - soft) * hollow
    # Fraying, dirt in patches and bands, light along the side, the shadow of an upper card.
    picture = (
        picture
        * np.exp(rng.uniform(0, 0.06) * (0.3 + wear) * rng.standard_normal(picture.shape[:2]))[..., None]
    )
    dirt = np.clip(_smooth(rng, (height, columns), (6, 5)) - rng.uniform(0, 1.5), 0, 1) * wear
    picture = picture * (1 - 0.6 * dirt[..., None] * [0.9, 0.95, 1.0])
    light = np.exp(0.25 * rng.standard_normal() * x + 0.2 * _smooth(rng, (height, columns), (3, 4)))
    picture = picture * light[..., None]
    # Above and below the packet.
    above, under = (_surface(rng, (height, columns)) for _ in range(2))
    if rng.random() < 0.6:  # the white border of the top card
        depth = rng.uniform(0.3, 6) * FINE
        near = (y > tops[0] - depth)[..., None]
        border = _colour(rng, (0.7, 1.2), 0.08)
        above = np.where(near, border, above)
    end = bottoms[-1]
    contact = 1 - rng.uniform(0.1, 0.9) * np.exp(-np.maximum(y - end, 0) / (FINE * rng.uniform(0.3, 4)))
    under = under * contact[..., None] * rng.uniform(0.3, 1.0)
    picture = np.where((y < tops[0])[..., None], above, picture)
    picture = np.where((y > end)[..., None], under, picture)
    if rng.random() < 0.15:  # glare
        place = rng.uniform(-1, 1)
        picture = picture + rng.uniform(0.1, 0.6) * np.exp(-(((x - place) / 0.3) ** 2))[:, None]
    if rng.random() < 0.12:  # a finger or another thing before a part of it
        first = rng.integers(0, columns)
        cover = _colour(rng, (0.2, 0.8), 0.3)
        picture[:, first : first + int(rng.uniform(0.1, 0.4) * columns)] = cover
    return picture.astype(np.float32)


def _photograph(
    rng: np.random.Generator, fine: np.ndarray, pitch: float, rows: int, columns: int
) -> tuple[np.ndarray, float]:
    """The strip (rows, columns, 3) uint8 that a camera and a cut make of a drawing, and its blur in source pixels."""
    blur = float(np.hypot(0.35, rng.uniform(0.15, 0.5) if rng.random() < 0.5 else rng.uniform(0.3, 1.2)))
    unit = FINE / pitch
    soft = cv2.GaussianBlur(fine, (0, 0), sigmaX=0.3, sigmaY=blur * unit)
    if rng.random() < 0.3:  # depth of field: one end of the side is less sharp
        end = cv2.GaussianBlur(fine, (0, 0), sigmaX=0.3, sigmaY=(blur + rng.uniform(0.2, 0.8)) * unit)
        share = np.linspace(0, 1, columns) if rng.random() < 0.5 else np.linspace(1, 0, columns)
        soft = soft + share[:, None].astype(np.float32) * (end - soft)
    tall = max(8, round(rows / ROWS * pitch))
    source = cv2.resize(soft, (columns, tall), interpolation=cv2.INTER_AREA if unit > 1 else cv2.INTER_LINEAR)
    exposure = rng.uniform(0.5, 1.15) * 235
    source = source * exposure * rng.uniform(0.9, 1.1, 3) + rng.normal(0, rng.uniform(0.2, 4), source.shape)
    if rng.random() < 0.5:
        smooth = cv2.GaussianBlur(source, (0, 0), sigmaX=0.3, sigmaY=rng.uniform(0.7, 1.5))
        source = source + rng.uniform(0.2, 1.2) * (source - smooth)
    picture = np.clip(source + 0.5, 0, 255).astype(np.uint8)
    if rng.random() < 0.6:
        settings = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(55, 97))]
        picture = cv2.imdecode(cv2.imencode(".jpg", picture, settings)[1], cv2.IMREAD_COLOR)
    tall_again = cv2.INTER_AREA if tall > rows else cv2.INTER_LINEAR
    return cv2.resize(picture, (columns, rows), interpolation=tall_again), blur
