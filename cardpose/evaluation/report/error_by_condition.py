"""Errors by count, camera position and sharpness of the packet."""

import math
from collections.abc import Mapping, Sequence

import cv2
import numpy as np

from cardpose.common.packet import Annotation
from cardpose.evaluation.metrics.results import FrameResult, mean_or_nan
from cardpose.evaluation.report.tables import Cell
from cardpose.geometry.boxes import LABEL_STEPS, fit_frames, labelled

BINS = {
    "cards": ((13.5, 26.5, 39.5), ("to 13", "14 to 26", "27 to 39", "from 40")),
    "elevation": ((20.0, 30.0, 40.0), ("below 20", "20 to 30", "30 to 40", "from 40")),
    "heading": ((-45.0, -15.0, 15.0, 45.0), ("below -45", "-45 to -15", "-15 to 15", "15 to 45", "from 45")),
}
"""Condition -> edges between its bins, and the names of the bins. The bins of the sharpness are its terciles."""
SHARPNESS = "sharpness"
TERCILES = ("least sharp third", "middle third", "sharpest third")


def viewpoints(annotations: Sequence[Annotation]) -> tuple[np.ndarray, np.ndarray]:
    """Position of the camera, from the box that fits the labelled corners.

    Args:
        annotations: N frames.

    Returns:
        (N,) elevation of the camera above the table and (N,) heading around the packet, in degrees. At heading 0 the
        camera looks along the long edges; at positive headings it stands to the right. NaN if the labels determine no
        box.
    """
    box = fit_frames(*labelled(annotations), LABEL_STEPS).box
    camera = -(box.rotation.swapaxes(1, 2) @ box.translation[..., None])[..., 0]  # in the box's axes
    x, y, z = camera.T / np.linalg.norm(camera, axis=-1)
    angles = np.rad2deg([np.arcsin(z), np.arctan2(x, -y)])
    elevation, heading = np.where(box.determined, angles, np.nan)
    return elevation, heading


def sharpness(image: np.ndarray, corners: np.ndarray) -> float:
    """Variance of the Laplacian over the packet, small where it is blurred (Pech-Pacheco et al. 2000).

    Args:
        image: (H, W, 3) uint8 RGB.
        corners: (N, 2) labelled corners in its pixels; the packet is their convex hull.

    Returns:
        In squared grey levels; NaN if the corners enclose no pixel of the image.
    """
    mask = np.zeros(image.shape[:2], np.uint8)
    if len(corners):
        cv2.fillConvexPoly(mask, cv2.convexHull(np.rint(corners).astype(np.int32)), 1)
    laplacian = cv2.Laplacian(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.CV_64F)
    inside = laplacian[mask > 0]
    return float(inside.var()) if len(inside) else math.nan


def condition_rows(
    results: Sequence[FrameResult], conditions: Mapping[str, np.ndarray]
) -> list[dict[str, Cell]]:
    """Errors over all frames, then over each bin of each condition; a bin without frames is left out.

    Args:
        results: N frames.
        conditions: (N,) values of each condition (keys of `BINS`, and `SHARPNESS`); NaN if unknown.
    """
    rows = [_row("all", "all", results)]
    for name, values in conditions.items():
        for label, inside in _bins(name, values):
            frames = [result for result, chosen in zip(results, inside, strict=True) if chosen]
            if frames:
                rows.append(_row(name, label, frames))
    return rows


def _bins(name: str, values: np.ndarray) -> list[tuple[str, np.ndarray]]:
    """Labels and masks (N,) of a condition's bins."""
    known = values[~np.isnan(values)]
    if name != SHARPNESS:
        edges, labels = BINS[name]
    elif len(known):
        edges, labels = tuple(np.quantile(known, [1 / 3, 2 / 3])), TERCILES
    else:
        edges, labels = (), ()
    number = np.searchsorted(edges, values, side="right")  # the bin of a NaN is not used
    bins = [(label, (number == i) & ~np.isnan(values)) for i, label in enumerate(labels)]
    return [*bins, ("unknown", np.isnan(values))]


def _row(name: str, label: str, frames: Sequence[FrameResult]) -> dict[str, Cell]:
    error = np.array([frame.cards_predicted - frame.cards for frame in frames])
    rounded = np.array([np.round(frame.cards_predicted) - frame.cards for frame in frames])
    known = ~np.isnan(error)
    corner_px = np.concatenate([frame.corner_px for frame in frames])
    corner_px = corner_px[~np.isnan(corner_px)]
    return {
        "condition": name,
        "bin": label,
        "frames": len(frames),
        "videos": len({frame.video for frame in frames}),
        "card_mae": mean_or_nan(np.abs(error[known])),
        "card_bias": mean_or_nan(error[known]),
        "card_within_1": mean_or_nan(np.abs(rounded[known]) <= 1),
        "corner_px_median": float(np.median(corner_px)) if len(corner_px) else math.nan,
    }
