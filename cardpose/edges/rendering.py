"""Rendered strips with the centre lines of their cards: a hundred a second, to train on.

A strip is drawn at `FINE` rows a nominal card; `cardpose.edges.exposure` makes of it what a camera and a cut would.
Looks are drawn far apart (domain randomisation), as photographs differ more than any renderer.
"""

from typing import NamedTuple

import cv2
import numpy as np

from cardpose.edges.exposure import expose
from cardpose.edges.strips import COLUMNS, ROWS
from cardpose.edges.surfaces import FINE, colour, smooth, surface

KINDS = ("packet", "book", "planks", "texture")
STYLES = ("square", "loose", "pressed", "leaning", "dirty")
_LOOKS = {"paper": 0.72, "gilt": 0.08, "dark": 0.08, "core": 0.12}
_LEAST = 0.3
"""Least visible share of a card that another one hides, from above."""


class RenderedStrip(NamedTuple):
    """A strip and the truth.

    Args:
        image: (rows, columns, 3) float32 RGB, 0 to 255.
        lines: (n, columns) row of the centre of what is visible of each card, top card first; none of no packet.
        clear: (columns,) bool, the columns in which nothing hides the packet.
        pitch: source pixels a nominal card.
        blur: standard deviation of the blur across the cards, source pixels.
        kind: of `KINDS`.
        wear: 0 a new deck, 1 a worn one.
    """

    image: np.ndarray
    lines: np.ndarray
    clear: np.ndarray
    pitch: float
    blur: float
    kind: str
    wear: float


class _Cards(NamedTuple):
    """Upper and lower border (n, columns) of each card, fine rows, the width (n,) of the gap below, relative to a card,
    and how far it sticks out (n, columns)."""

    tops: np.ndarray
    bottoms: np.ndarray
    gap: np.ndarray
    out: np.ndarray


def render_strip(
    rng: np.random.Generator,
    cards: int,
    rows: int,
    columns: int = COLUMNS,
    top: float = 0.0,
    pitch: float | None = None,
    kind: str = "packet",
    style: str = "",
) -> RenderedStrip:
    """Render a strip.

    Args:
        cards: of the packet; lines of what is no packet.
        rows, columns: of the strip.
        top: nominal cards above the packet; below 0 the packet begins above the strip.
        pitch: source pixels a nominal card; None: drawn from 1.5 to 13.
        kind: of `KINDS`.
        style: of `STYLES`; "": any.
    """
    pitch = float(np.exp(rng.uniform(np.log(1.5), np.log(13)))) if pitch is None else pitch
    wear = float(rng.random()) ** 1.5
    if style:
        wear = 0.8 if style == "dirty" else 0.15
    height = rows * FINE // ROWS
    x = np.linspace(-1, 1, columns, dtype=np.float32)
    borders = _borders(rng, cards, x, wear, kind, style)
    tops, bottoms = borders.tops + top * FINE, borders.bottoms + top * FINE
    clear = np.ones(columns, bool)
    if kind == "texture":
        fine = surface(rng, (height, columns))
    else:
        fine = _draw(rng, borders._replace(tops=tops, bottoms=bottoms), height, x, wear)
        _hide(rng, fine, clear)
    image, blur = expose(rng, fine, pitch, rows)
    lines = ((tops + bottoms) / 2 + 0.5) * ROWS / FINE - 0.5
    return RenderedStrip(image, lines if kind == "packet" else lines[:0], clear, pitch, blur, kind, wear)


def _borders(
    rng: np.random.Generator, cards: int, x: np.ndarray, wear: float, kind: str, style: str
) -> _Cards:
    """Where the cards are; books and planks are of the same make at another pitch."""
    mean, uneven = FINE * rng.uniform(0.74, 1.36), rng.uniform(0.0, 0.03)
    if kind == "book":
        mean, uneven = FINE * rng.uniform(0.2, 0.6), rng.uniform(0.02, 0.4)
    elif kind == "planks":
        width = np.exp(rng.uniform(np.log(0.3), np.log(8)))
        mean, uneven = FINE * width, rng.uniform(0.45 if 0.65 < width < 1.6 else 0.2, 0.8)
    loose = rng.choice([0.0, 0.05, 0.25], p=[0.4, 0.3, 0.3]) * rng.random()
    loose = {"": loose, "loose": 0.2}.get(style, 0.0)
    gap = {"pressed": 0.06}.get(style, rng.uniform(0.05, 0.36)) * np.exp(
        rng.normal(0, 0.2 + 0.3 * wear, cards)
    )
    gap = np.clip(gap + loose * rng.exponential(1.0, cards), 0.02, 1.6)
    thick = np.exp(rng.normal(0, uneven, cards))
    step = mean * np.maximum(thick * (1 - gap.clip(0, 0.4)) + gap, 0.4)
    upper = np.concatenate([[0.0], np.cumsum(step)[:-1]])
    level: np.ndarray = upper[:, None] + np.zeros((1, len(x)))
    # What is left of lean and bend in a levelled strip; single cards tilt and warp a little, never through neighbours.
    slope, bend = rng.normal(0, 0.12 if rng.random() < 0.85 else 0.5) * FINE, rng.normal(0, 0.12) * FINE
    fan = {"leaning": 0.06}.get(style, rng.normal(0, 0.02))
    level = (
        level + slope * x + bend * x**2 + rng.uniform(0, 0.15) * FINE * smooth(rng, (2, len(x)), (2, 6))[:1]
    )
    level = level + fan * (upper - upper.mean())[:, None] * x
    out: np.ndarray = np.zeros((cards, len(x)))
    if cards > 1:
        free = 0.25 * mean * min(1.0, float(gap.mean()) * 2) * (0.3 + wear)
        level = level + 0.5 * free * np.clip(smooth(rng, (cards, len(x)), (max(2, cards // 2), 3)), -2, 2)
        ends = rng.standard_normal((cards, 2)) + 0.8 * smooth(rng, (cards, 2), (max(2, cards // 6), 2))
        out = ends[:, :1] + (ends[:, 1:] - ends[:, :1]) * np.linspace(0, 1, len(x)) * rng.random()
    below = np.concatenate([level[1:], level[-1:] + step[-1]])
    share = np.clip(gap * mean / step, 0.02, 0.6)
    bottoms = below - share[:, None] * (below - level)
    # Seen from above, what sticks out lies lower in the image and hides the upper part of the next card.
    shift = out * (mean * rng.uniform(0, 0.2) * (rng.random() < 0.6))
    tops, bottoms = level + shift, bottoms + shift
    tops[1:] = np.maximum(tops[1:], np.minimum(bottoms[:-1], bottoms[1:] - _LEAST * mean))
    bottoms[:-1] = np.minimum(bottoms[:-1], tops[1:])
    return _Cards(tops, np.maximum(bottoms, tops + 0.1 * mean), gap, out)


def _draw(rng: np.random.Generator, borders: _Cards, height: int, x: np.ndarray, wear: float) -> np.ndarray:
    """(height, columns, 3) float32, 0 to about 1: surface above, cards and gaps, table below."""
    tops, bottoms, gap, out = borders
    cards, columns = tops.shape
    y = np.arange(height, dtype=np.float32)[:, None]
    starts = np.clip(np.round(tops), -1, height).astype(int)
    marks = np.zeros((height + 2, columns), np.int32)
    np.add.at(marks, (starts + 1, np.broadcast_to(np.arange(columns), starts.shape)), 1)
    index = np.cumsum(marks, 0)[1:-1] - 1  # the card at or above each row, -1 above the packet
    place = np.clip(index, 0, cards - 1) * columns + np.arange(columns)

    def own(values: np.ndarray) -> np.ndarray:
        """(height, columns) of each card's own value, (n, columns) or (n, 1)."""
        return np.take(np.broadcast_to(values, tops.shape).astype(np.float32), place)

    lower = own(bottoms)
    extent = own(np.maximum(bottoms - tops, 1.0))
    middle = np.clip(1 - (lower - y) / extent, 0, 1)  # from 0 to 1 across the card
    look = str(rng.choice(list(_LOOKS), p=list(_LOOKS.values())))
    # Tone of a card and its shape: rounded, brighter above than below.
    tone = np.exp(
        rng.normal(0, rng.uniform(0.01, 0.06 + 0.08 * wear), (cards, 1)) + rng.uniform(0, 0.08) * out
    )
    if cards > 1:
        tone = tone * np.exp(0.12 * wear * smooth(rng, (cards, columns), (cards, 6)))
    light = 1 - rng.uniform(0, 0.5) * np.abs(2 * middle - 1) ** rng.uniform(1.5, 6)
    light = light * (1 + rng.uniform(-0.25, 0.25) * (middle - 0.5))
    if look == "core":
        light = light * (
            1
            - rng.uniform(0.15, 0.6)
            * np.exp(-(((middle - rng.uniform(0.4, 0.6)) / rng.uniform(0.08, 0.16)) ** 2))
        )
    # Shadow on a card by the one above, where that sticks out.
    before = np.concatenate([out[:1], out[:-1]]) - out
    shadow = np.clip(before, 0, 2) * rng.uniform(0, 0.35)
    light = light * (1 - np.clip(own(shadow) * np.exp(-middle / rng.uniform(0.1, 0.5)), 0, 0.8))
    # Gaps: darker the wider they are; some are nearly closed, some decks have none that is dark.
    shade = rng.uniform(0.12, 0.85) if rng.random() > 0.08 else rng.uniform(1.05, 1.6)
    dark = np.exp(rng.normal(0, 0.15 + 0.35 * wear, (cards, 1))) * np.clip(0.6 + 2 * gap, 0.6, 1.4)[:, None]
    faint = rng.random(cards) < 0.1 * wear
    dark = dark * np.where(faint, rng.uniform(0.3, 0.7, cards), 1.0)[:, None]
    dark = np.clip(dark * np.exp(0.2 * smooth(rng, (cards, columns), (max(2, cards), 5))[:cards]), 0.2, 2.5)
    soft = np.clip((lower - y) / rng.uniform(0.5, 3.0) + 0.5, 0, 1)
    hollow = np.exp(np.float32(np.log(shade)) * own(dark))
    light = (hollow + soft * (light - hollow)) * own(tone)
    # Fraying, dirt in patches and bands, light along the side.
    light = light * (1 + np.float32(rng.uniform(0, 0.07) * (0.3 + wear)) * _grain(rng, height, columns))
    dirt = np.clip(smooth(rng, (height, columns), (6, 5)) - rng.uniform(0, 1.5), 0, 1) * wear
    light = light * np.exp(0.25 * rng.standard_normal() * x + 0.15 * smooth(rng, (height, columns), (3, 3)))
    tint = np.array([0.9, 0.95, 1.0]) if rng.random() < 0.7 else rng.uniform(0.6, 1, 3)
    picture = light[..., None] * _paper(rng, look) * (1 - 0.6 * dirt[..., None] * tint.astype(np.float32))
    if rng.random() < 0.35:  # ink of the back, or of the face, bleeds over the edge
        ink, depth = colour(rng, (0.05, 0.6), 0.9), rng.uniform(0.05, 0.3)
        where = np.clip((depth - middle if rng.random() < 0.5 else middle - 1 + depth) / 0.05, 0, 1) * soft
        where = (where * own(np.clip(0.5 + smooth(rng, (cards + 1, columns), (cards + 1, 6))[:cards], 0, 1)))[
            ..., None
        ]
        picture = picture * (1 - where) + where * ink
    _surround(rng, picture, tops[0], bottoms[-1], y)
    if rng.random() < 0.15:  # glare
        place_x, wide = rng.uniform(-1, 1), rng.uniform(0.1, 0.5)
        picture = picture + (rng.uniform(0.1, 0.6) * np.exp(-(((x - place_x) / wide) ** 2)))[:, None]
    return picture.astype(np.float32)


def _grain(rng: np.random.Generator, height: int, columns: int) -> np.ndarray:
    return rng.standard_normal((height, columns), dtype=np.float32)


def _paper(rng: np.random.Generator, look: str) -> np.ndarray:
    """(3,) float32 colour of the edges."""
    if look == "gilt":
        return (np.array([0.8, 0.62, 0.3]) * rng.uniform(0.5, 1.2)).astype(np.float32)
    if look == "dark":
        return colour(rng, (0.06, 0.3), 0.4)
    return colour(rng, (0.4, 1.0), 0.12 if rng.random() < 0.8 else 0.5)


def _surround(
    rng: np.random.Generator, picture: np.ndarray, first: np.ndarray, last: np.ndarray, y: np.ndarray
) -> None:
    """Draw the top card above row `first` (columns,) and the table below `last` into a picture."""
    height, columns = picture.shape[:2]
    end = int(np.clip(np.ceil(first.max()) + 1, 0, height))
    if end > 1:
        above, rows = surface(rng, (end, columns)), y[:end]
        if rng.random() < 0.6:  # the white border of the top card
            border = first - rng.uniform(0.3, 8) * FINE
            above = np.where((rows > border)[..., None], colour(rng, (0.6, 1.2), 0.1), above)
        if rng.random() < 0.3:  # the upper edge of the top card catches the light, or is worn dark
            near = rows > first - rng.uniform(0.05, 0.4) * FINE
            above = np.where(near[..., None], above * np.float32(rng.uniform(0.5, 1.5)), above)
        picture[:end] = np.where((rows < first)[..., None], above, picture[:end])
    start = int(np.clip(np.floor(last.min()) - 1, 0, height))
    if height - start > 1:
        under, rows = surface(rng, (height - start, columns)), y[start:]
        reach = FINE * np.exp(rng.uniform(np.log(0.3), np.log(6)))
        contact = 1 - rng.uniform(0.0, 0.95) * np.exp(-np.maximum(rows - last, 0) / reach)
        under = under * contact[..., None] * np.float32(rng.uniform(0.3, 1.0))
        if rng.random() < 0.15:  # a glossy table mirrors the packet, fainter and less sharp
            mirrored = picture[np.clip(2 * start - np.arange(start, height) - 1, 0, height - 1)]
            under = under * 0.6 + np.float32(rng.uniform(0.05, 0.3)) * cv2.blur(mirrored, (3, FINE // 2))
        picture[start:] = np.where((rows > last)[..., None], under, picture[start:])


def _hide(rng: np.random.Generator, picture: np.ndarray, clear: np.ndarray) -> None:
    """Cover a part with a finger, or let the side end within the strip."""
    columns = len(clear)
    if rng.random() < 0.14:
        first, wide = int(rng.integers(0, columns)), int(rng.uniform(0.08, 0.4) * columns) + 1
        own = slice(first, first + wide)
    elif rng.random() < 0.14:
        wide = int(rng.uniform(0.03, 0.2) * columns) + 1
        own = slice(0, wide) if rng.random() < 0.5 else slice(columns - wide, columns)
    else:
        return
    shape = picture[:, own].shape[:2]
    picture[:, own] = surface(rng, shape) if rng.random() < 0.5 else colour(rng, (0.2, 0.8), 0.4)
    clear[own] = False
