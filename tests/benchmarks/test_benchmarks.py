"""Results of the benchmarked code; no test measures its speed."""

import numpy as np
import torch

from cardpose.benchmarks.heatmaps import numpy_heatmaps
from cardpose.benchmarks.timing import measure
from cardpose.models import heatmaps


def test_the_replaced_loop_draws_the_same_heatmaps() -> None:
    rng = np.random.default_rng(0)
    corners = (rng.random((3, 8, 2)) * (64, 48)).astype(np.float32)
    visibility = rng.integers(0, 3, (3, 8))
    expected = numpy_heatmaps(corners, visibility, (48, 64), stride=2, sigma=1.5)
    maps = heatmaps.encode(
        torch.from_numpy(corners), torch.from_numpy(visibility), size=(48, 64), stride=2, sigma=1.5
    )
    torch.testing.assert_close(maps, expected, rtol=0, atol=1e-5)


def test_a_measurement_is_repeats_after_a_warmup() -> None:
    calls: list[int] = []
    timing = measure("name", "items/s", 10, lambda: calls.append(1), warmup=2, repeats=3)
    assert len(calls) == 5
    assert 0 < timing.low <= timing.median <= timing.high
