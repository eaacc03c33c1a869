"""How fast the parts of a training are on this machine. `python -m cardpose.bench --help` teaches.

Every figure is the median of `repeats` after `warmup`, with the lowest and the highest beside it; all are
taken in one run, since only ratios of one run compare on a machine that others use too.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict
from itertools import chain, islice, repeat
from pathlib import Path

import cv2
import numpy as np
import torch
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from cardpose.benchmarks.backbones import bench_backbones
from cardpose.benchmarks.devices import bench_ddp
from cardpose.benchmarks.memory import bench_memory
from cardpose.benchmarks.predict import bench_predict
from cardpose.benchmarks.timing import Timing, measure
from cardpose.common.errors import InputError
from cardpose.common.files import replace_file
from cardpose.common.hydra_entry import entry, plain
from cardpose.common.packet import NOT_LABELLED, NUM_CORNERS, Batch
from cardpose.common.threads import one_torch_thread
from cardpose.data.datamodule import CardDataModule
from cardpose.geometry.boxes import fit_frames
from cardpose.models import builder, heatmaps
from cardpose.models.checkpoints import git_commit
from cardpose.models.from_config import build_net
from cardpose.synth.records import Shot
from cardpose.synth.rendering.renderer import Renderer
from cardpose.synth.sampling.scene import sample_shot
from cardpose.synth.stream import SceneStream
from cardpose.training import build, hardware
from cardpose.training.trainer import quiet_lightning

BATCH, SIZE, STRIDE, SIGMA = 32, (192, 256), 2, 2.0
"""Of the rendered heatmaps: 32 x 8 x 96 x 128."""
CLIP, FILMED = 4, 40
"""Synthetic frames of a clip, and of a repeat."""
STEPS = 8
"""Training steps of a repeat."""
FITTED, FRAME = 500, (640, 480)
"""Frames of a fit of boxes, and their width and height."""

Step = Callable[[Batch], None]


def numpy_heatmaps(
    corners: np.ndarray, visibility: np.ndarray, size: tuple[int, int], stride: int, sigma: float
) -> torch.Tensor:
    """What `heatmaps.encode` replaces, at sub-pixel centres: a loop over samples and corners in the dataset, in
    NumPy's float64, then the collation."""
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


def bench_loader(cfg: DictConfig) -> Iterator[Timing]:
    """One pass over the training frames each repeat, every batch as a training would take it."""
    data = build.build_data(plain(cfg), build_net(plain(cfg)))
    data.prepare_data()
    data.setup("fit")
    loader = data.train_dataloader()

    def epoch() -> None:
        for _ in loader:
            pass

    name = f"loader, {data.num_workers} workers" if data.num_workers != 1 else "loader, 1 worker"
    yield measure(name, "images/s", len(loader) * data.batch_size, epoch, 1, cfg.repeats)


def bench_step(cfg: DictConfig) -> Iterator[Timing]:
    """Training steps on one random batch."""
    auto = hardware.choose_precision(cfg.trainer.accelerator)
    for precision in dict.fromkeys([hardware.FULL, auto]):
        for name in ("contiguous", "channels_last"):
            run = step_of(cfg, name, precision)
            label = f"step, {name}, {precision}"
            yield measure(label, "images/s", cfg.data.batch_size, run, cfg.warmup, cfg.repeats)


def step_of(cfg: DictConfig, memory_format: str, precision: str) -> Callable[[], None]:
    """One training step as a function without arguments."""
    device = torch.device("cuda" if hardware.on_gpu(cfg.trainer.accelerator) else "cpu")
    train, batch = trainer_of(cfg, device, memory_format, precision), random_batch(cfg, device)

    def step() -> None:
        train(batch)
        if device.type == "cuda":
            torch.cuda.synchronize()

    return step


def bench_training(cfg: DictConfig) -> Iterator[Timing]:
    """Training steps on batches as the loaders bring them, on the CPU: from the cache, and rendered when needed."""
    cached, streamed = (build.build_data(plain(cfg), build_net(plain(cfg))) for _ in range(2))
    size = cfg.data.size[0], cfg.data.size[1]
    streamed.stream = SceneStream(
        builder.build(plain(cfg)["scene"], "scene"), size, CLIP, rate=1.0, seed=cfg.seed
    )
    streamed.samples_per_epoch = STEPS * cfg.data.batch_size * (cfg.warmup + cfg.repeats + 1)
    cached.prepare_data()
    for name, data in (("cache", cached), ("stream", streamed)):
        data.setup("fit")
        batches = chain.from_iterable(repeat(data.train_dataloader()))
        cpu = torch.device("cpu")
        train = trainer_of(cfg, cpu, cfg.trainer.memory_format, hardware.choose_precision("cpu"))

        def steps(data: CardDataModule = data, batches: Iterator = batches, train: Step = train) -> None:
            for batch in islice(batches, STEPS):
                train(data.on_after_batch_transfer(batch, 0))

        label = f"training, {name}, {data.num_workers} workers"
        yield measure(label, "images/s", STEPS * cfg.data.batch_size, steps, cfg.warmup, cfg.repeats)


def trainer_of(cfg: DictConfig, device: torch.device, memory_format: str, precision: str) -> Step:
    """Training steps of a fresh network on batches that lie on `device`."""
    torch.manual_seed(cfg.seed)
    config = plain(cfg)
    config["trainer"]["memory_format"] = memory_format
    module = build.build_module(config, build_net(config), 26.0, {}).to(device)
    optimizer = module.optimizer(module.parameters())

    def step(batch: Batch) -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == hardware.BF16):
            loss = module.loss(module(batch["image"]), batch)["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def random_batch(cfg: DictConfig, device: torch.device) -> Batch:
    """Noise in the shapes of a training batch, as the module gets it."""
    size, count = tuple(cfg.data.size), cfg.data.batch_size
    corners = torch.rand(count, NUM_CORNERS, 2) * min(size)
    visibility = torch.full((count, NUM_CORNERS), 2)
    encode = builder.build(plain(cfg)["data"]["encode_heatmaps"], "data.encode_heatmaps")
    tensors = {
        "image": torch.randn(count, 3, *size),
        "corners": corners,
        "visibility": visibility,
        "cards": torch.full((count,), 26.0),
        "heatmaps": encode(corners, visibility),
    }
    return {key: value.to(device) for key, value in tensors.items()}  # type: ignore[return-value]


def bench_geometry(cfg: DictConfig) -> Iterator[Timing]:
    """Boxes fitted to corners on one thread: to many frames at once and to one, in float64."""
    rng = np.random.default_rng(cfg.seed)
    size = np.array(FRAME, np.float64)
    corners = rng.uniform(0.2, 0.8, (FITTED, NUM_CORNERS, 2)) * size
    with one_torch_thread():
        for count in (FITTED, 1):
            frames = corners[:count], np.ones((count, NUM_CORNERS)), np.tile(size, (count, 1))

            def fit(frames: tuple[np.ndarray, np.ndarray, np.ndarray] = frames) -> None:
                fit_frames(*frames)

            label = f"geometry, {count} at once"
            yield measure(label, "frames/s", count, fit, cfg.warmup, cfg.repeats)


def bench_render(cfg: DictConfig) -> Iterator[Timing]:
    """Synthetic frames on one core, without and with what each clip of `CLIP` frames sets up."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    scene = builder.build(plain(cfg)["scene"], "scene")
    for width, height in ((256, 192), (640, 480)):
        film = SceneStream(scene, (height, width), CLIP, rate=1.0, seed=cfg.seed)
        for index in range(0, FILMED, CLIP):  # the tables' tiles are made once a process
            film(index)
        clip, renderer = film.clip(0)
        shots = [sample_shot(clip, index) for index in range(FILMED)]

        def frames(renderer: Renderer = renderer, shots: list[Shot] = shots) -> None:
            for shot in shots:
                renderer.frame(shot)

        def clips(film: SceneStream = film) -> None:
            for index in range(FILMED):
                film(index)

        size = f"{width}x{height}"
        yield measure(f"render, {size}, frames", "frames/s", FILMED, frames, cfg.warmup, cfg.repeats)
        yield measure(f"render, {size}, clips too", "frames/s", FILMED, clips, cfg.warmup, cfg.repeats)
    cv2.setNumThreads(threads)


BENCHES: dict[str, Callable[[DictConfig], Iterator[Timing]]] = {
    "heatmaps": bench_heatmaps,
    "loader": bench_loader,
    "step": bench_step,
    "training": bench_training,
    "render": bench_render,
    "geometry": bench_geometry,
    "backbones": bench_backbones,
    "predict": bench_predict,
    "ddp": bench_ddp,
    "memory": bench_memory,
}


def timings_table(timings: list[Timing]) -> Table:
    """Median with spread, and each as a multiple of the first of its kind."""
    table = Table()
    for header in ("benchmark", "unit", "median", "lowest", "highest", "times the first"):
        table.add_column(
            header, justify="left" if header in ("benchmark", "unit") else "right", overflow="fold"
        )
    first: dict[str, float] = {}
    for timing in timings:
        base = first.setdefault(timing.name.split(",")[0], timing.median)
        numbers = [f"{value:,.1f}" for value in (timing.median, timing.low, timing.high)]
        table.add_row(timing.name, timing.unit, *numbers, f"{timing.median / base:.2f}")
    return table


def loader_share(timings: list[Timing]) -> str:
    """How the loader alone compares with the fastest training step; empty where one of them was not timed.

    >>> loader_share([Timing("loader, 1 worker", "images/s", 300, 0, 0), Timing("step, a", "images/s", 50, 0, 0)])
    'the loader is 6.0 times as fast as the fastest step'
    """
    rates = {kind: [t.median for t in timings if t.name.startswith(kind)] for kind in ("loader", "step")}
    if not all(rates.values()):
        return ""
    return f"the loader is {rates['loader'][0] / max(rates['step']):.1f} times as fast as the fastest step"


@entry("bench")
def main(cfg: DictConfig) -> None:
    folder = Path(HydraConfig.get().runtime.output_dir)
    unknown = [name for name in cfg.benchmarks if name not in BENCHES]
    if unknown:
        raise InputError(f"benchmarks={unknown[0]}: no such benchmark: choose {', '.join(BENCHES)}")
    plain(cfg)
    quiet_lightning()
    timings = [timing for name in cfg.benchmarks for timing in BENCHES[name](cfg)]
    machine = hardware.describe()
    with replace_file(folder / "bench.json") as path:
        about = {"machine": machine, "commit": git_commit(), "warmup": cfg.warmup, "repeats": cfg.repeats}
        path.write_text(
            json.dumps(about | {"timings": [asdict(timing) for timing in timings]}, indent=2) + "\n"
        )
    console = Console()
    console.print(timings_table(timings))
    if share := loader_share(timings):
        console.print(share, highlight=False)
    console.print(", ".join(f"{key} {value}" for key, value in machine.items()), highlight=False)
    print(folder)


if __name__ == "__main__":
    main()
