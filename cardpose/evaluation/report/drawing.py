"""Pictures of packets, corners and heatmaps, as uint8 RGB arrays (H, W, 3). For plots see plots.py.

Corner colours are those of Okabe and Ito (https://jfly.uni-koeln.de/color/), distinguishable with any colour
vision, with white in place of black. A circle is a labelled corner, a cross a predicted one. Thick marks and
whole lines are visible, thin marks and dashed lines hidden.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import cv2
import numpy as np

from cardpose.common.packet import CORNERS, EDGES, HIDDEN, NOT_LABELLED, VISIBLE, Batch
from cardpose.geometry.letterbox import invert_affine

if TYPE_CHECKING:  # an overlay of a prediction needs neither torch nor torchmetrics
    from torch import Tensor

    from cardpose.evaluation.metrics.results import FrameResult

Colour = tuple[int, int, int]

CORNER_COLOURS: tuple[Colour, ...] = (
    (255, 255, 255),
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (240, 228, 66),
    (0, 114, 178),
    (213, 94, 0),
    (204, 121, 167),
)
LABEL_EDGES: Colour = (255, 255, 255)
PREDICTED_EDGES: Colour = (86, 230, 120)
BLACK: Colour = (0, 0, 0)
PAPER: Colour = (255, 255, 255)

_SUBPIXEL_BITS = 4
_FONT, _FONT_SCALE, _LINE_HEIGHT = cv2.FONT_HERSHEY_SIMPLEX, 0.4, 16


def to_picture(image: "Tensor", mean: "Tensor", std: "Tensor") -> np.ndarray:
    """Undo the encoder's normalisation.

    Args:
        image: (3, H, W) float, (value / 255 - mean) / std.
        mean, std: three values each, of images 0 to 1.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    mean, std = mean.cpu().view(3, 1, 1), std.cpu().view(3, 1, 1)
    values = (image.detach().float().cpu() * std + mean) * 255
    return values.round().clamp(0, 255).byte().permute(1, 2, 0).contiguous().numpy()


def enlarge(image: np.ndarray, corners: np.ndarray, factor: int) -> tuple[np.ndarray, np.ndarray]:
    """Scale a picture and its corners (..., 2) up by a whole factor."""
    size = (image.shape[1] * factor, image.shape[0] * factor)
    return cv2.resize(image, size, interpolation=cv2.INTER_CUBIC), (corners + 0.5) * factor - 0.5


def draw_packet(
    image: np.ndarray,
    corners: np.ndarray,
    visibility: np.ndarray,
    *,
    mark: Literal["circle", "cross"] = "circle",
    edge_colour: Colour = LABEL_EDGES,
) -> np.ndarray:
    """Draw the box and its corners onto a copy of `image`.

    Args:
        image: (H, W, 3) uint8 RGB.
        corners: (8, 2) in pixels of `image`.
        visibility: (8,); a corner with 0 is left out with its edges, an edge with a hidden end is dashed.
        mark: circle for labels, cross for predictions.
    """
    image = image.copy()
    drawn = (visibility != NOT_LABELLED) & np.isfinite(corners).all(axis=1)
    for i, j in EDGES:
        if drawn[i] and drawn[j]:
            dashed = visibility[i] != VISIBLE or visibility[j] != VISIBLE
            for start, end in _dashes(corners[i], corners[j]) if dashed else [(corners[i], corners[j])]:
                _line(image, start, end, edge_colour)
    draw_mark = _circle if mark == "circle" else _cross
    for i in np.flatnonzero(drawn).tolist():
        thickness = 2 if visibility[i] == VISIBLE else 1
        draw_mark(
            image, corners[i], BLACK, thickness + 2
        )  # a rim, so that the colour stands out on any background
        draw_mark(image, corners[i], CORNER_COLOURS[i], thickness)
    return image


def draw_result(
    picture: np.ndarray, to_source: np.ndarray, result: "FrameResult", factor: int = 2
) -> np.ndarray:
    """Labelled corners (circles, white box) and predicted ones (crosses, green box) on an enlarged picture.

    Args:
        picture: (H, W, 3) uint8 RGB, the network's input.
        to_source: (2, 3), maps pixels of `picture` to source pixels.
        result: the frame, in source pixels.
        factor: enlargement, so that the marks do not cover a small packet.

    Returns:
        (factor * H, factor * W, 3) uint8 RGB.
    """
    both = np.stack([result.corners, result.corners_predicted])  # (2, 8, 2)
    both = np.where(np.isfinite(both), both, np.nan)  # `draw_packet` leaves them out
    to_picture_pixels = invert_affine(to_source)
    both = both @ to_picture_pixels[:, :2].T + to_picture_pixels[:, 2]
    canvas, (true, predicted) = enlarge(picture, both, factor)
    called = np.where(result.visible_probability > 0.5, VISIBLE, HIDDEN)
    canvas = draw_packet(canvas, true, result.visibility)
    return draw_packet(canvas, predicted, called, mark="cross", edge_colour=PREDICTED_EDGES)


def draw_sample(batch: Batch, row: int, result: "FrameResult", mean: "Tensor", std: "Tensor") -> np.ndarray:
    """`draw_result` on row `row` of a normalised batch; `mean` and `std` as in `to_picture`."""
    picture = to_picture(batch["image"][row], mean, std)
    return draw_result(picture, batch["to_source"][row].cpu().numpy(), result)


def caption(result: "FrameResult") -> str:
    """Three short lines: the frame, its count and its corner error."""
    true = "?" if np.isnan(result.cards) else f"{result.cards:.0f}"
    return (
        f"{result.video} frame {result.frame_index}\n"
        f"cards {true}, predicted {result.cards_predicted:.1f}\n"
        f"corner error {result.corner_px_mean:.1f} px"
    )


def heatmap_grid(predicted: np.ndarray, target: np.ndarray, tile_width: int = 160) -> np.ndarray:
    """Eight predicted heatmaps above their eight targets, each with its name and the value of its peak.

    Args:
        predicted, target: (8, h, w), 0 to 1; values outside are clipped.
        tile_width: width of each map in the picture.
    """
    rows = [("predicted", predicted), ("target", target)]
    tiles = [_colour_map(heatmap, tile_width) for _, maps in rows for heatmap in maps]
    captions = [
        f"{name.replace('_', ' ')}\n{kind}, peak {heatmap.max():.2f}"
        for kind, maps in rows
        for name, heatmap in zip(CORNERS, maps, strict=True)
    ]
    return contact_sheet(tiles, captions, columns=len(CORNERS))


def draw_names(image: np.ndarray, corners: np.ndarray, visibility: np.ndarray) -> np.ndarray:
    """Write the name of each corner beside it, away from the middle of the packet, onto a copy of `image`.

    Args:
        image: (H, W, 3) uint8 RGB.
        corners: (8, 2) in pixels of `image`.
        visibility: (8,); a corner with 0 is left out.
    """
    image = image.copy()
    drawn = np.flatnonzero((visibility != NOT_LABELLED) & np.isfinite(corners).all(axis=1))
    for i in drawn.tolist():
        x, y = corners[i]
        text = CORNERS[i].replace("_", " ")
        width = cv2.getTextSize(text, _FONT, _FONT_SCALE, 1)[0][0]
        left = x - 12 - width if CORNERS[i].split("_")[1] == "left" else x + 12
        left, base = int(np.clip(left, 0, max(0, image.shape[1] - width))), int(y) + 4
        for dx, dy in ((-1, 0), (1, 0), (0, -1), (0, 1), (0, 0)):  # with a rim, readable on any background
            colour = BLACK if dx or dy else PAPER
            cv2.putText(image, text, (left + dx, base + dy), _FONT, _FONT_SCALE, colour, 1, cv2.LINE_AA)
    return image


def draw_heatmaps(image: np.ndarray, heatmaps: np.ndarray) -> np.ndarray:
    """Overlay heatmaps on a darkened copy of a picture, each in the colour of its corner.

    Args:
        image: (H, W, 3) uint8 RGB.
        heatmaps: (8, h, w), covering the whole picture, 0 to 1; values outside are clipped.
    """
    height, width = image.shape[:2]
    heights = np.clip(np.nan_to_num(heatmaps), 0, 1).transpose(1, 2, 0)  # (h, w, 8)
    # A heatmap is a resized image, so resizing it back keeps every peak over its corner.
    heights = cv2.resize(heights, (width, height), interpolation=cv2.INTER_LINEAR)
    light = (heights[..., None] * np.array(CORNER_COLOURS, np.float32)).max(axis=2)  # (H, W, 3)
    ground = 0.5 * image * (1 - heights.max(axis=-1, keepdims=True))
    return np.rint(np.clip(ground + light, 0, 255)).astype(np.uint8)


def contact_sheet(pictures: Sequence[np.ndarray], captions: Sequence[str], columns: int = 4) -> np.ndarray:
    """Arrange pictures in rows on white, each with its caption below.

    Args:
        pictures: (h, w, 3) uint8 RGB each; tiles are as large as the largest.
        captions: one each, may have several lines; a line too long for the tile is cut.
        columns: pictures in a row.
    """
    height = max(picture.shape[0] for picture in pictures)
    width = max(picture.shape[1] for picture in pictures)
    text_height = _LINE_HEIGHT * max(text.count("\n") + 1 for text in captions) + 6
    tiles = []
    for picture, text in zip(pictures, captions, strict=True):
        tile = np.full((height + text_height, width, 3), PAPER, np.uint8)
        tile[: picture.shape[0], : picture.shape[1]] = picture
        _write(tile, text, top=height)
        tiles.append(np.pad(tile, ((2, 2), (2, 2), (0, 0)), constant_values=255))
    columns = min(columns, len(tiles))
    tiles += [np.full_like(tiles[0], 255)] * (-len(tiles) % columns)
    return np.concatenate(
        [np.concatenate(tiles[i : i + columns], axis=1) for i in range(0, len(tiles), columns)], axis=0
    )


def _colour_map(heatmap: np.ndarray, width: int) -> np.ndarray:
    """(h, w) 0 to 1 -> (h', width, 3) uint8 RGB in viridis, enlarged without interpolation."""
    levels = np.rint(np.clip(np.nan_to_num(heatmap), 0, 1) * 255).astype(np.uint8)
    coloured = cv2.cvtColor(cv2.applyColorMap(levels, cv2.COLORMAP_VIRIDIS), cv2.COLOR_BGR2RGB)
    size = (width, max(1, round(width * heatmap.shape[0] / heatmap.shape[1])))
    return cv2.resize(coloured, size, interpolation=cv2.INTER_NEAREST)


def _write(image: np.ndarray, text: str, top: int) -> None:
    """Write lines of text below row `top`, in place, each cut to the width of the picture."""
    for number, line in enumerate(text.split("\n"), start=1):
        while line and cv2.getTextSize(line, _FONT, _FONT_SCALE, 1)[0][0] > image.shape[1] - 6:
            line = line[:-1]
        place = (3, top + number * _LINE_HEIGHT - 3)
        cv2.putText(image, line, place, _FONT, _FONT_SCALE, BLACK, 1, cv2.LINE_AA)


def _fixed(point: np.ndarray) -> tuple[int, int]:
    """Fixed-point pixels of OpenCV, clipped, since a distant corner would overflow its integers."""
    x, y = np.rint(np.clip(point, -16000, 16000) * (1 << _SUBPIXEL_BITS)).astype(int)
    return int(x), int(y)


def _line(image: np.ndarray, start: np.ndarray, end: np.ndarray, colour: Colour, thickness: int = 1) -> None:
    cv2.line(image, _fixed(start), _fixed(end), colour, thickness, cv2.LINE_AA, _SUBPIXEL_BITS)


def _dashes(start: np.ndarray, end: np.ndarray, length: float = 5.0) -> list[tuple[np.ndarray, np.ndarray]]:
    """The dashes of a line, about `length` pixels each; it begins and ends with a dash."""
    pieces = int(np.clip(np.linalg.norm(end - start) / length, 1, 999)) // 2 * 2 + 1
    stops = np.linspace(start, end, pieces + 1)
    return list(zip(stops[:-1:2], stops[1::2], strict=True))


def _circle(
    image: np.ndarray, centre: np.ndarray, colour: Colour, thickness: int, radius: float = 6.0
) -> None:
    size = round(radius * (1 << _SUBPIXEL_BITS))
    cv2.circle(image, _fixed(centre), size, colour, thickness, cv2.LINE_AA, _SUBPIXEL_BITS)


def _cross(image: np.ndarray, centre: np.ndarray, colour: Colour, thickness: int, arm: float = 3.5) -> None:
    for way in (np.array([arm, arm]), np.array([arm, -arm])):
        _line(image, centre - way, centre + way, colour, thickness)
