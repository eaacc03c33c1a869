"""The training loader, and training steps: `python -m cardpose.bench benchmarks=[loader,step,matrix,training]`."""

from collections.abc import Callable, Iterator
from itertools import chain, islice, repeat

import torch
from omegaconf import DictConfig

from cardpose.benchmarks.cost import cost
from cardpose.benchmarks.timing import Timing, measure
from cardpose.common.hydra_entry import plain
from cardpose.common.packet import NUM_CORNERS, Batch
from cardpose.data.datamodule import CardDataModule
from cardpose.models import builder
from cardpose.models.from_config import build_net
from cardpose.synth.stream import SceneStream
from cardpose.training import build, hardware

CLIP = 4
"""Synthetic frames of a clip."""
STEPS = 8
"""Training steps of a repeat."""
MATRIX = 2048
"""Rows and columns of the matrices whose product is the fastest that this machine multiplies."""

Step = Callable[[Batch], None]


def bench_loader(cfg: DictConfig) -> Iterator[Timing]:
    """One pass over the training frames in each repeat."""
    data = build.build_data(plain(cfg), build_net(plain(cfg)))
    build.prepare_data(data, 1)
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


def bench_matrix(cfg: DictConfig) -> Iterator[Timing]:
    """Multiplications a second of a training step on the CPU, beside those of a large matrix product.

    Those of a step are three times those of the network: forward, and backward to the input and to the weights.
    """
    precision = hardware.choose_precision("cpu")
    number = torch.bfloat16 if precision == hardware.BF16 else torch.float32
    left, right = (torch.randn(MATRIX, MATRIX, dtype=number) for _ in range(2))
    _, network = cost(build_net(plain(cfg)), torch.randn(1, 3, *cfg.data.size))
    step = step_of(cfg, cfg.trainer.memory_format, precision)
    for name, products, run in (
        ("product", MATRIX**3, lambda: left @ right),
        ("step", 3 * network * cfg.data.batch_size, step),
    ):
        label = f"matrix, {name}, {precision}"
        yield measure(label, "GMAC/s", products / 1e9, run, cfg.warmup, cfg.repeats)


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
    """Training steps on the loaders' batches, on the CPU: from the frame cache, and rendered on demand."""
    cached, streamed = (build.build_data(plain(cfg), build_net(plain(cfg))) for _ in range(2))
    size = cfg.data.size[0], cfg.data.size[1]
    streamed.stream = SceneStream(
        builder.build(plain(cfg)["scene"], "scene"), size, CLIP, rate=1.0, seed=cfg.seed
    )
    streamed.samples_per_epoch = STEPS * cfg.data.batch_size * (cfg.warmup + cfg.repeats + 1)
    build.prepare_data(cached, 1)
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
    """Random tensors in the shapes of a training batch on the device."""
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
