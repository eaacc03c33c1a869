"""Training speed of several processes, compared with one: `python -m cardpose.bench benchmarks=[ddp] trainer=ddp`."""

from collections.abc import Iterator
from functools import partial
from statistics import median
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from omegaconf import DictConfig

from cardpose.benchmarks.timing import Timing
from cardpose.common.distributed import collectives as processes
from cardpose.common.distributed import launch
from cardpose.common.errors import InputError
from cardpose.common.hydra_entry import plain
from cardpose.common.threads import cores, processes_here
from cardpose.models.from_config import build_net
from cardpose.training import build
from cardpose.training.callbacks.throughput import Throughput
from cardpose.training.trainer import build_trainer, quiet_lightning

STEPS = 12
"""Training steps of a repeat, the first of which does not count."""


class Rates(Throughput):
    """Keeps the images a second of every epoch, summed over the processes."""

    def __init__(self) -> None:
        super().__init__()
        self.values: list[float] = []

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.values.append(sum(value or 0.0 for value in processes.gather(self.rate.value)))


def training_rates(config: dict[str, Any], epochs: int) -> list[float]:
    """Images a second of each of `epochs` short epochs, in every process of `config.trainer`; they share the cores."""
    torch.set_num_threads(max(1, cores() // processes_here()))
    quiet_lightning()
    net = build_net(config)
    data = build.build_data(config, net)
    rates = Rates()
    quiet = {"enable_checkpointing": False, "enable_progress_bar": False, "limit_val_batches": 0}
    limits = {"max_epochs": epochs, "limit_train_batches": STEPS}
    trainer = build_trainer(config, [rates], logger=False, **quiet, **limits)
    data.check_training(trainer.world_size)
    trainer.fit(build.build_module(config, net, 26.0, {}), data)
    return rates.values


def bench_ddp(cfg: DictConfig) -> Iterator[Timing]:
    """Training on the loaders' batches, on one device with all cores and on all devices of `cfg.trainer`.

    Raises:
        InputError: a trainer of one device.
    """
    several = plain(cfg)
    count = build_trainer(several, [], logger=False).world_size
    if count == 1:
        raise InputError(
            "benchmarks=[ddp]: choose trainer=ddp, trainer=ddp_spawn_cpu or more trainer.devices"
        )
    build.build_data(several, build_net(several)).prepare_data()
    one = {
        **several,
        "trainer": several["trainer"] | {"devices": 1, "strategy": "auto", "sync_batchnorm": False},
    }
    epochs = cfg.warmup + cfg.repeats
    for number, config in ((1, one), (count, several)):
        values = launch.run(partial(training_rates, config, epochs), number)[cfg.warmup :]
        name = f"ddp, {number} process" + ("es" if number > 1 else "")
        yield Timing(name, "images/s", median(values), min(values), max(values))
