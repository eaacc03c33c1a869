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
    write = backbones.onnx_runner
    short = lambda cfg: write(cfg) if cfg.model.decoder.get("width") == 12 else lambda: None  # noqa: E731
    monkeypatch.setattr(
        backbones, "onnx_runner", short
    )  # an export takes seconds: that of unet_tiny is enough
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
    if name == "backbones":
        kinds = [timing.name.rpartition(", ")[2] for timing in timings if "unet_tiny" in timing.name]
        assert kinds[1:] == (["training", "ONNX"] if backbones.has_onnx() else ["training"])
