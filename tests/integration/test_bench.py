"""The benchmark measures what it says; how fast that is, no test asks."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hydra import initialize_config_dir
from omegaconf import DictConfig

from cardpose.benchmarks.heatmaps import numpy_heatmaps
from cardpose.benchmarks.suite import BENCHES
from cardpose.benchmarks.timing import measure
from cardpose.common.hydra_entry import CONF
from cardpose.models import heatmaps

Compose = Callable[..., DictConfig]


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


@pytest.mark.parametrize("name", BENCHES)
def test_every_bench_runs(compose_entry: Compose, tiny_folder: Path, tmp_path: Path, name: str) -> None:
    tiny = (
        "data=folder",
        f"data.root={tiny_folder}",
        "data.size=[32,64]",
        "data.batch_size=4",
        "data.num_workers=0",
    )
    tiny += {"ddp": ("trainer=ddp_spawn_cpu",), "memory": ("frames=[600]", "augment=none")}.get(name, ())
    cfg = compose_entry("bench", tmp_path / "run", *tiny, "split.folds=3", "repeats=1", "warmup=0")
    with initialize_config_dir(str(CONF), version_base="1.3"):  # as in the entry
        timings = list(BENCHES[name](cfg))
    assert all(timing.name.startswith(name) and timing.median > 0 for timing in timings)
    assert timings
