"""The focal length of the camera that recorded a clip, estimated from the corners of the packet."""

import math

import numpy as np
from scipy.optimize import minimize_scalar

from cardpose.geometry.boxes import LABEL_STEPS, fit_frames

FOCALS = (0.5, 3.0)
"""Range of the search, in longer sides of the frames: fields of view from 90 to 19 degrees."""


def estimate_focal(corners: np.ndarray, weights: np.ndarray, size: np.ndarray) -> float | None:
    """Estimate the focal length as the one with which the boxes are closest to the corners.

    Args:
        corners: (B, 8, 2) in source pixels, of frames of one camera.
        weights: (B, 8), 0 for a corner that is not given.
        size: (B, 2) width and height of the frames in pixels.

    Returns:
        Focal length in longer sides of the frames, with the least mean residual in `FOCALS` by Brent's method (Brent
        1973, Algorithms for Minimization Without Derivatives, chapter 5); None where the corners do not determine it.
    """

    def mean_residual(log_focal: float) -> float:
        boxes = fit_frames(corners, weights, size, LABEL_STEPS, focal=math.exp(log_focal))
        residuals = boxes.residual(weights) / size.max(1)
        return float(np.nanmean(residuals)) if np.isfinite(residuals).any() else math.nan

    # Search the logarithm: a ratio of focal lengths changes the boxes alike over the whole range.
    low, high = np.log(FOCALS)
    found = minimize_scalar(mean_residual, bounds=(low, high), method="bounded", options={"xatol": 1e-3})
    # A minimum at the border of the range is none.
    inside = low + 0.01 < found.x < high - 0.01
    return math.exp(found.x) if inside and math.isfinite(found.fun) else None
