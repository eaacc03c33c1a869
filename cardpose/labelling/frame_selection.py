"""Selects the frames of a video to label, about one in `stride`.

Adding a new selection: write a function like `sharpest` and add its name to `CHOICES`.
"""

from collections.abc import Callable, Iterable

import cv2
import numpy as np

from cardpose.data.footage.video import VideoFrame

_SHARP_SIDE = 640
"""Longer side in pixels at which sharpness is measured, so that noise counts less than motion blur."""
_FEATURE_SIZE = (16, 12)
_MAX_CANDIDATES = 5000
"""Most frames that are clustered; of longer videos only every second, third, ... is used."""
_ROUNDS = 20

Choice = Callable[[Iterable[VideoFrame], int, int], list[int]]
"""(all frames of a video, their number, stride) -> indices of the frames to label, ascending."""


def every(frames: Iterable[VideoFrame], num_frames: int, stride: int) -> list[int]:
    """Frames 0, stride, 2 * stride, ...; does not decode the video."""
    return list(range(0, num_frames, stride))


def sharpest(frames: Iterable[VideoFrame], num_frames: int, stride: int) -> list[int]:
    """The sharpest of each `stride` frames, to avoid motion blur."""
    best: dict[int, tuple[float, int]] = {}
    for frame in frames:
        candidate = sharpness(frame.image), -frame.index  # the earliest of equal ones
        window = frame.index // stride
        best[window] = max(best.get(window, candidate), candidate)
    return [-index for _, index in best.values()]


def sharpness(image: np.ndarray) -> float:
    """Variance of the Laplacian of (H, W, 3) uint8 RGB, small if blurred (Pech-Pacheco et al. 2000)."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    scale = _SHARP_SIDE / max(grey.shape)
    if scale < 1:
        grey = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return float(cv2.Laplacian(grey, cv2.CV_64F).var())


def diverse(frames: Iterable[VideoFrame], num_frames: int, stride: int) -> list[int]:
    """Frames that look different: one per k-means cluster of thumbnails (Nath et al. 2019, DeepLabCut)."""
    step = -(-num_frames // _MAX_CANDIDATES)
    indices, features = [], []
    for frame in frames:
        if frame.index % step == 0:
            indices.append(frame.index)
            features.append(feature(frame.image))
    wanted = min(-(-num_frames // stride), len(indices))
    return sorted(indices[i] for i in central(np.stack(features), wanted))


def feature(image: np.ndarray) -> np.ndarray:
    """Feature (576,) float32 of (H, W, 3) uint8 RGB: a thumbnail of 16 x 12 pixels in the perceptual Lab space."""
    small = cv2.resize(image, _FEATURE_SIZE, interpolation=cv2.INTER_AREA)
    return cv2.cvtColor(small, cv2.COLOR_RGB2LAB).astype(np.float32).ravel()


def central(features: np.ndarray, clusters: int) -> list[int]:
    """The rows of (N, D) float32 nearest to the centres of `clusters` k-means clusters; deterministic."""
    cv2.setRNGSeed(0)
    criteria = (cv2.TERM_CRITERIA_MAX_ITER + cv2.TERM_CRITERIA_EPS, _ROUNDS, 0.1)
    _, labels, centres = cv2.kmeans(features, clusters, None, criteria, 1, cv2.KMEANS_PP_CENTERS)
    distance = np.linalg.norm(features - centres[labels.ravel()], axis=1)
    return [
        int(members[distance[members].argmin()])
        for cluster in range(clusters)
        if len(members := np.flatnonzero(labels.ravel() == cluster))
    ]


CHOICES: dict[str, Choice] = {"stride": every, "sharp": sharpest, "diverse": diverse}
