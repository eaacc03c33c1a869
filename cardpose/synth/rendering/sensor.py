"""Lens and sensor: defocus, motion blur, vignetting, white balance, noise."""

from functools import cache

import cv2
import numpy as np

from cardpose.synth.records import Clip, Shot

NOISE_MARGIN = 64


class Camcorder:
    """Turns the radiance of the scene into 8-bit frames, for one clip."""

    def __init__(self, clip: Clip) -> None:
        self.defocus = clip.sensor.defocus * clip.width / 640
        self.gains = (self._vignette(clip)[..., None] * clip.light.gains).astype(np.float32)
        sensor = clip.sensor
        self.sharpening, self.saturation, self.contrast = (
            sensor.sharpening,
            sensor.saturation,
            sensor.contrast,
        )
        self.noise, self.field = clip.sensor.noise, _noise_field(clip.height, clip.width)

    @staticmethod
    def _vignette(clip: Clip) -> np.ndarray:
        """(height, width) gain: 1 in the centre, 1 - vignette in the corners."""
        x, y = np.linspace(-1, 1, clip.width), np.linspace(-1, 1, clip.height)[:, None]
        return 1 - clip.sensor.vignette * (x**2 + y**2) / 2

    def expose(self, light: np.ndarray, shot: Shot) -> np.ndarray:
        """Radiance (height, width, 3) float32 -> frame uint8 RGB."""
        if self.defocus > 0:
            light = cv2.GaussianBlur(light, (0, 0), self.defocus)
        kernel = motion_kernel(shot.motion)
        if kernel.size > 1:
            light = cv2.filter2D(light, -1, kernel, borderType=cv2.BORDER_REPLICATE)
        light = self._develop(cv2.multiply(light, self.gains))
        top, left = shot.noise_offset
        noise = self.field[top : top + light.shape[0], left : left + light.shape[1]]
        return cv2.addWeighted(light, 1, noise, self.noise, 0, dtype=cv2.CV_8U)

    def _develop(self, light: np.ndarray) -> np.ndarray:
        """Process a picture (H, W, 3), 0 to 255, as a phone does: tone curve, saturation, sharpening."""
        if self.contrast > 0:
            share = np.clip(light * np.float32(1 / 255), 0, 1)
            curve = share * share * (3 - 2 * share)
            light = light + (255 * self.contrast) * (curve - share)
        if self.saturation != 1:
            grey = light.mean(2, keepdims=True)
            light = grey + self.saturation * (light - grey)
        if self.sharpening > 0:
            smooth = cv2.GaussianBlur(light, (0, 0), 1.0)
            light = cv2.addWeighted(light, 1 + self.sharpening, smooth, -self.sharpening, 0)
        return light


@cache
def _noise_field(height: int, width: int) -> np.ndarray:
    """Standard normal noise, float32, computed once per process; every frame takes another crop."""
    shape = height + NOISE_MARGIN, width + NOISE_MARGIN, 3
    return np.random.default_rng(0).standard_normal(shape, dtype=np.float32)


def motion_kernel(motion: np.ndarray) -> np.ndarray:
    """Blur kernel (k, k) float32 of sum 1: a centred line along `motion` (2,), in pixels.

    >>> motion_kernel(np.array([2.0, 0.0])).round(2).tolist()[1]
    [0.25, 0.5, 0.25]
    """
    reach = int(np.ceil(np.abs(motion).max() / 2))
    size = 2 * reach + 1
    samples = max(16 * size, 1)
    points = reach + motion * ((np.arange(samples) + 0.5) / samples - 0.5)[:, None]
    x, y = (np.maximum(0, 1 - np.abs(np.arange(size) - along[:, None])) for along in points.T)
    kernel = (y.T @ x).astype(np.float32)
    return kernel / kernel.sum()
