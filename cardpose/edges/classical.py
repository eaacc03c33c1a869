"""Counters without training, the baselines: of the brightness across a strip, between known ends.

Each takes a strip (rows, columns, 3) and the rows of the packet's ends, and returns a count.
"""

import cv2
import numpy as np

from cardpose.edges.strips import ROWS

PITCHES = (0.7, 1.45)
"""Range of the search, in nominal cards."""
_STEPS = np.geomspace(PITCHES[0] * ROWS, PITCHES[1] * ROWS, 200)


def _profile(strip: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Brightness along the middle third of the columns, without its slow changes."""
    third = strip.shape[1] // 3
    grey = strip[:, third : 2 * third].mean((1, 2))
    profile = grey - cv2.blur(grey[:, None], (1, 3 * ROWS))[:, 0]
    low, high = np.clip(np.round(ends).astype(int), 0, len(profile))
    return profile[low:high]


def autocorrelation(strip: np.ndarray, ends: np.ndarray) -> int:
    """Distance of the ends (2,) of a strip (rows, COLUMNS, 3) over the lag of the highest autocorrelation."""
    profile = _profile(strip, ends)
    if len(profile) < 2 * ROWS:
        return max(1, round(len(profile) / ROWS))
    lags = np.arange(len(profile))
    correlation = np.correlate(profile, profile, "full")[len(profile) - 1 :] / np.maximum(
        len(profile) - lags, 1
    )
    values = np.interp(_STEPS, lags, correlation)
    return max(1, round(len(profile) / _STEPS[np.argmax(values)]))


def spectral_peak(strip: np.ndarray, ends: np.ndarray) -> int:
    """Their distance over the period of the highest power; arguments as in `autocorrelation`."""
    profile = _profile(strip, ends)
    if len(profile) < 2 * ROWS:
        return max(1, round(len(profile) / ROWS))
    waves = np.exp(-2j * np.pi * np.arange(len(profile)) / _STEPS[:, None])
    power = np.abs(waves @ (profile * np.hanning(len(profile))))
    return max(1, round(len(profile) / _STEPS[np.argmax(power)]))


def ridge_filter(strip: np.ndarray, ends: np.ndarray) -> int:
    """Number of bright ridges: peaks of the second derivative across a strip (Lindeberg 1998, one scale)."""
    smooth = cv2.GaussianBlur(_profile(strip, ends)[:, None].astype(np.float32), (1, 9), ROWS / 5)[:, 0]
    ridge = -np.gradient(np.gradient(smooth))
    peak = (ridge[1:-1] > ridge[:-2]) & (ridge[1:-1] >= ridge[2:])
    return max(1, int((peak & (ridge[1:-1] > 0.2 * ridge.std())).sum()))


COUNTERS = {
    "autocorrelation": autocorrelation,
    "spectral peak": spectral_peak,
    "ridge filter": ridge_filter,
}
