"""The benchmarks by name, and the file of their timings."""

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from cardpose.benchmarks.backbones import bench_backbones
from cardpose.benchmarks.busy import bench_busy
from cardpose.benchmarks.devices import bench_ddp
from cardpose.benchmarks.frames import bench_geometry, bench_render
from cardpose.benchmarks.heatmaps import bench_heatmaps
from cardpose.benchmarks.memory import bench_memory
from cardpose.benchmarks.predict import bench_predict
from cardpose.benchmarks.timing import Timing
from cardpose.benchmarks.training import bench_loader, bench_matrix, bench_step, bench_training
from cardpose.common.errors import InputError
from cardpose.common.files import replace_file
from cardpose.common.hydra_entry import plain
from cardpose.models.checkpoints import git_commit
from cardpose.training import hardware
from cardpose.training.trainer import quiet_lightning

BENCHES: dict[str, Callable[[DictConfig], Iterator[Timing]]] = {
    "heatmaps": bench_heatmaps,
    "loader": bench_loader,
    "step": bench_step,
    "matrix": bench_matrix,
    "training": bench_training,
    "render": bench_render,
    "geometry": bench_geometry,
    "backbones": bench_backbones,
    "predict": bench_predict,
    "busy": bench_busy,
    "ddp": bench_ddp,
    "memory": bench_memory,
}


def bench(cfg: DictConfig, folder: Path) -> list[Timing]:
    """Run the benchmarks that `cfg.benchmarks` names, and write bench.json.

    Raises:
        InputError: an unknown benchmark.
    """
    unknown = [name for name in cfg.benchmarks if name not in BENCHES]
    if unknown:
        raise InputError(f"benchmarks={unknown[0]}: no such benchmark: choose {', '.join(BENCHES)}")
    plain(cfg)
    quiet_lightning()
    timings = [timing for name in cfg.benchmarks for timing in BENCHES[name](cfg)]
    about: dict[str, Any] = {"machine": hardware.describe(), "commit": git_commit()}
    about |= {"warmup": cfg.warmup, "repeats": cfg.repeats, "timings": [asdict(timing) for timing in timings]}
    with replace_file(folder / "bench.json") as path:
        path.write_text(json.dumps(about, indent=2) + "\n")
    return timings
