"""Which frames of a video are worth labelling; about one in `stride`, whichever way they are chosen.

Adding another way: a function like these, named in `CHOICES`.
"""

from collections.abc import Callable, Iterable

import cv2
import numpy as np

from cardpose.data.footage.video import VideoFrame

_SHARP_SIDE = 640
"""Pixels of the longer side at which sharpness is measured: below it grain counts less than the motion's blur."""
_FEATURE_SIZE = (16, 12)
_MAX_CANDIDATES = 5000
"""Frames of a video that are clustered; of a longer one every second, third, ... is looked at."""
_ROUNDS = 20

Choice = Callable[[Iterable[VideoFrame], int, int], list[int]]
"""From all frames of a video, their number and the stride to the indices of those to label, ascending."""


def every(frames: Iterable[VideoFrame], num_frames: int, stride: int) -> list[int]:
    """Frames 0, stride, 2 * stride and so on; looks at none."""
    return list(range(0, num_frames, stride))


def sharpest(frames: Iterable[VideoFrame], num_frames: int, stride: int) -> list[int]:
    """The sharpest of each `stride` frames, so that motion blur is not labelled."""
    best: dict[int, tuple[float, int]] = {}
    for frame in frames:
        candidate = sharpness(frame.image), -frame.index  # of equal ones the earliest
        window = frame.index // stride
        best[window] = max(best.get(window, candidate), candidate)
    return [-index for _, index in best.values()]


def sharpness(image: np.ndarray) -> float:
    """Variance of the Laplacian of (H, W, 3) uint8 RGB, small where it is blurred (Pech-Pacheco et al. 2000)."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    scale = _SHARP_SIDE / max(grey.shape)
    if scale < 1:
        grey = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return float(cv2.Laplacian(grey, cv2.CV_64F).var())


def diverse(frames: Iterable[VideoFrame], num_frames: int, stride: int) -> list[int]:
    """Frames that look different: one a cluster of k-means on small pictures (Nath et al. 2019, DeepLabCut)."""
    step = -(-num_frames // _MAX_CANDIDATES)
    indices, features = [], []
    for frame in frames:
        if frame.index % step == 0:
            indices.append(frame.index)
            features.append(feature(frame.image))
    wanted = min(-(-num_frames // stride), len(indices))
    return sorted(indices[i] for i in central(np.stack(features), wanted))


def feature(image: np.ndarray) -> np.ndarray:
    """(576,) float32: (H, W, 3) uint8 RGB as a picture of 16 by 12 pixels, in Lab, where distances look alike."""
    small = cv2.resize(image, _FEATURE_SIZE, interpolation=cv2.INTER_AREA)
    return cv2.cvtColor(small, cv2.COLOR_RGB2LAB).astype(np.float32).ravel()


def central(features: np.ndarray, clusters: int) -> list[int]:
    """The rows of (N, D) float32 that lie nearest to the centres of so many clusters; the same in every run."""
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
