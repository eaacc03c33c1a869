"""Effects of a camera and of cutting on a drawn strip: blur, sampling, noise, sharpening, compression."""

import cv2
import numpy as np

from cardpose.edges.surfaces import FINE


def expose(rng: np.random.Generator, fine: np.ndarray, pitch: float, rows: int) -> tuple[np.ndarray, float]:
    """A strip (rows, columns, 3) float32, 0 to 255, of a drawing (h, columns, 3), and its blur in source pixels.

    Half of the sides lie along the rows of the source, whose rows are then the only samples; across the others every
    column of the strip averages source pixels of many phases.
    """
    columns, unit = fine.shape[1], FINE / pitch
    blur = float(np.hypot(0.35, rng.uniform(0.15, 0.5) if rng.random() < 0.5 else rng.uniform(0.3, 1.2)))
    across = rng.uniform(0.1, 0.5)
    soft: np.ndarray = cv2.GaussianBlur(fine, (0, 0), sigmaX=across, sigmaY=blur * unit)
    if rng.random() < 0.25:  # depth of field: one end of the side is less sharp
        end = cv2.GaussianBlur(fine, (0, 0), sigmaX=across, sigmaY=(blur + rng.uniform(0.2, 0.8)) * unit)
        share = np.linspace(0, 1, columns, dtype=np.float32)[:, None]
        soft = soft + (share if rng.random() < 0.5 else 1 - share) * (end - soft)
    if rng.random() < 0.1:  # motion
        length = rng.uniform(0.5, 2)
        soft = cv2.blur(soft, (1, max(1, round(length * unit))))
        blur = float(np.hypot(blur, length / 12**0.5))
    along = rng.random() < 0.5
    tall = max(8, round(len(fine) / unit)) if along else rows
    if not along:
        soft = cv2.blur(soft, (1, max(1, round(unit))))  # the area of a source pixel
    small = cv2.INTER_AREA if tall < len(soft) else cv2.INTER_LINEAR
    source: np.ndarray = cv2.resize(soft, (columns, tall), interpolation=small)
    scale = tall / rows if along else 1.0
    bright = rng.uniform(0.35, 1.15) if rng.random() < 0.75 else rng.uniform(0.1, 0.4)
    # Exposure, colour of the light, tone curve, noise; the lens splits colours across the lines.
    source = source * (bright * 235 * rng.uniform(0.85, 1.15, 3)).astype(np.float32)
    if rng.random() < 0.4:
        source = 255 * np.clip(source / 255, 0, 1.5) ** np.float32(np.exp(rng.normal(0, 0.25)))
    if rng.random() < 0.25:
        split = np.float32(rng.uniform(0, 0.5))
        source[..., 0] += split * (np.roll(source[..., 0], 1, 0) - source[..., 0])
        source[..., 2] += split * (np.roll(source[..., 2], -1, 0) - source[..., 2])
    noise = rng.uniform(0.1, 3) if along else rng.uniform(0.1, 2)
    if rng.random() < 0.7:
        source = source + np.float32(noise) * rng.standard_normal((*source.shape[:2], 1), dtype=np.float32)
    else:
        source = source + np.float32(noise) * rng.standard_normal(source.shape, dtype=np.float32)
    if rng.random() < 0.5:
        sigma = rng.uniform(0.7, 1.5) * (1.0 if along else max(0.4, unit * rows / len(fine)))
        source = source + np.float32(rng.uniform(0.2, 1.4)) * (
            source - cv2.GaussianBlur(source, (0, 0), sigmaX=0.2, sigmaY=sigma)
        )
    if rng.random() < 0.6:
        quality = int(rng.integers(55, 97) if rng.random() < 0.8 else rng.integers(25, 55))
        settings = [cv2.IMWRITE_JPEG_QUALITY, quality if along else min(97, quality + 15)]
        coded = cv2.imencode(".jpg", np.clip(source + 0.5, 0, 255).astype(np.uint8), settings)[1]
        source = np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR))
    picture = np.clip(source, 0, 255).astype(np.float32)
    if scale == 1.0:
        return picture, blur
    again = cv2.INTER_AREA if tall > rows else cv2.INTER_LINEAR
    return cv2.resize(picture, (columns, rows), interpolation=again), blur
