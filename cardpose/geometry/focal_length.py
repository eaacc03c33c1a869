"""The camera that filmed a clip: its focal length, from the packet's corners."""

import math

import numpy as np
from scipy.optimize import minimize_scalar

from cardpose.geometry.boxes import LABEL_STEPS, fit_frames

FOCALS = (0.5, 3.0)
"""Focal lengths among which a camera's is looked for, in longer sides of its frames: 90 to 19 degrees across."""


def estimate_focal(corners: np.ndarray, weights: np.ndarray, size: np.ndarray) -> float | None:
    """The focal length of the camera that filmed these frames, in their longer sides: with it boxes lie closest.

    Args:
        corners, weights, size: of frames of one camera, see `fit_frames`.

    Returns:
        The one of `FOCALS` with the least mean distance, by Brent's method; None where the corners do not tell.
    """

    def distance(log_focal: float) -> float:
        boxes = fit_frames(corners, weights, size, LABEL_STEPS, focal=math.exp(log_focal))
        misfits = boxes.misfit(weights) / size.max(1)
        return float(np.nanmean(misfits)) if np.isfinite(misfits).any() else math.nan

    low, high = np.log(FOCALS)
    found = minimize_scalar(distance, bounds=(low, high), method="bounded", options={"xatol": 1e-3})
    inside = low + 0.01 < found.x < high - 0.01
    return math.exp(found.x) if inside and math.isfinite(found.fun) else None
