"""Rendering of a batch of heatmaps: `python -m cardpose.bench benchmarks=[heatmaps]`."""

from collections.abc import Iterator

import numpy as np
import torch
from omegaconf import DictConfig

from cardpose.benchmarks.timing import Timing, measure
from cardpose.common.packet import NOT_LABELLED, NUM_CORNERS
from cardpose.models import heatmaps

BATCH, SIZE, STRIDE, SIGMA = 32, (192, 256), 2, 2.0
"""Of the rendered heatmaps: 32 x 8 x 96 x 128."""


def numpy_heatmaps(
    corners: np.ndarray, visibility: np.ndarray, size: tuple[int, int], stride: int, sigma: float
) -> torch.Tensor:
    """The reference for `heatmaps.encode`: a loop over samples and corners in NumPy's float64, then the collation.

    Args:
        corners: (B, 8, 2) x, y in pixels of the image.
        visibility: (B, 8).
        size: (height, width) of the image.
        stride: image pixels of a heatmap pixel.
        sigma: of the Gaussian, heatmap pixels.

    Returns:
        (B, 8, height / stride, width / stride) float32.
    """
    rows, columns = np.ogrid[: size[0] // stride, : size[1] // stride]
    samples = []
    for points, seen in zip((corners.astype(float) + 0.5) / stride - 0.5, visibility, strict=True):
        maps = [
            np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (2 * sigma**2))
            if labelled
            else np.zeros((len(rows), columns.size))
            for (x, y), labelled in zip(points, seen != NOT_LABELLED, strict=True)
        ]
        samples.append(torch.from_numpy(np.stack(maps)).float())
    return torch.stack(samples)


def bench_heatmaps(cfg: DictConfig) -> Iterator[Timing]:
    """One batch of `BATCH` samples, on the CPU."""
    rng = np.random.default_rng(cfg.seed)
    corners = (rng.random((BATCH, NUM_CORNERS, 2)) * SIZE[::-1]).astype(np.float32)
    visibility = rng.integers(1, 3, (BATCH, NUM_CORNERS))
    tensors = torch.from_numpy(corners), torch.from_numpy(visibility)

    def loop() -> torch.Tensor:
        return numpy_heatmaps(corners, visibility, SIZE, STRIDE, SIGMA)

    def encode() -> torch.Tensor:
        return heatmaps.encode(*tensors, size=SIZE, stride=STRIDE, sigma=SIGMA)

    if not torch.allclose(loop(), encode(), atol=1e-5):
        raise AssertionError("the two renderings differ")
    yield measure("heatmaps, NumPy loop", "maps/s", BATCH * NUM_CORNERS, loop, cfg.warmup, cfg.repeats)
    yield measure("heatmaps, batched", "maps/s", BATCH * NUM_CORNERS, encode, cfg.warmup, cfg.repeats)
