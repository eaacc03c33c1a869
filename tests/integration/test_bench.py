"""The benchmark measures what it says; how fast that is, no test asks."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hydra import initialize_config_dir
from omegaconf import DictConfig

from cardpose.benchmarks import backbones
from cardpose.benchmarks.suite import BENCHES
from cardpose.common.hydra_entry import CONF

Compose = Callable[..., DictConfig]


@pytest.mark.parametrize("name", BENCHES)
def test_every_bench_runs(
    compose_entry: Compose, tiny_folder: Path, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    choices = backbones.choices
    tiny_only = lambda cfg: ((model, cfg) for model, cfg in choices(cfg) if model == "unet_tiny")  # noqa: E731
    monkeypatch.setattr(backbones, "choices", tiny_only)  # an export takes seconds
    tiny = (
        "data=folder",
        f"data.root={tiny_folder}",
        "data.size=[32,64]",
        "data.batch_size=4",
        "data.num_workers=0",
    )
    # Without a box the network is exported in a fifth of the time.
    tiny += {
        "backbones": ("count_features=features",),
        "ddp": ("trainer=ddp_spawn_cpu",),
        "memory": ("frames=[600]", "augment=none"),
    }.get(name, ())
    cfg = compose_entry("bench", tmp_path / "run", *tiny, "split.folds=3", "repeats=1", "warmup=0")
    with initialize_config_dir(str(CONF), version_base="1.3"):  # as in the entry
        timings = list(BENCHES[name](cfg))
    assert all(timing.name.startswith(name) and timing.median > 0 for timing in timings)
    assert timings
