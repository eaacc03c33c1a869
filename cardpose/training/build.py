"""From a configuration to its objects, for the entries: what `train` builds, `evaluate` builds again.

Classes receive built objects and partials; only this file and the entries know the configuration's keys.
"""

import logging
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from hydra.utils import instantiate
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.loggers import Logger
from omegaconf import DictConfig, ListConfig, OmegaConf
from torch import Tensor

from cardpose.common.errors import InputError
from cardpose.data.datamodule import CardDataModule
from cardpose.models import checkpoints
from cardpose.models.counts import Regression
from cardpose.models.heatmaps import decode
from cardpose.models.peaks import locator
from cardpose.models.unet import UNet
from cardpose.training.hardware import choose_memory_format
from cardpose.training.lightning_module import CardposeModule
from cardpose.training.losses.packet_loss import PacketLoss

# Lightning's hints for developers say nothing that a user of cardpose could act on.
QUIET = (
    r".*does not have many workers which may be a bottleneck.*",
    r".*You're using the WeightAveraging callback, but.*",
    r".*Checkpoint directory .* exists and is not empty.*",
    r".*is smaller than the logging interval.*",
    r".*isinstance\(treespec, LeafSpec\)` is deprecated.*",
    r".*when logging on epoch level in distributed setting.*",  # the scores are those of all processes already
)


def _whole(low: int, high: int = 2**32 - 1) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, int) and low <= value <= high


def _number(value: Any) -> bool:
    return isinstance(value, int | float)


MIN_MAP = 3
"""Rows and columns of a heatmap: a peak's place below a pixel is found by its neighbours."""
RULES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "data.root": (lambda value: value is not None, "give the folder of the footage"),
    "data.batch_size": (_whole(1), "choose a whole number from 1"),
    "data.num_workers": (
        lambda value: value is None or _whole(0)(value),
        "choose a whole number from 0, or null",
    ),
    "data.stride": (_whole(1), "choose a whole number from 1"),
    "data.samples_per_epoch": (
        lambda value: value is None or _whole(1)(value),
        "choose a whole number from 1, or null",
    ),
    "data.synthetic_ratio": (
        lambda value: value is None or (_number(value) and value > 0),
        "choose a number above 0, or null",
    ),
    "data.size": (lambda value: isinstance(value, ListConfig) and len(value) == 2, "write [height,width]"),
    "heatmap.sigma": (lambda value: _number(value) and value > 0, "choose a number above 0"),
    "optim.lr": (lambda value: _number(value) and value >= 0, "choose a number from 0"),
    "seed": (_whole(0), "choose a whole number from 0"),
    "trainer.max_epochs": (_whole(1), "choose a whole number from 1"),
}
"""What a value must be, and the mend."""


def quiet_lightning() -> None:
    """Silence `QUIET` and Lightning's tips."""
    for message in QUIET:
        warnings.filterwarnings("ignore", message)
    for name in (
        "lightning.pytorch.utilities.rank_zero",
        "lightning.pytorch.trainer.connectors.signal_connector",
        "lightning.fabric.utilities.distributed",
    ):
        logging.getLogger(name).setLevel(logging.WARNING)


def plain(cfg: DictConfig) -> dict[str, Any]:
    """The resolved configuration as plain containers, as a checkpoint holds it.

    Raises:
        InputError: a key that has to be given is not.
    """
    missing = sorted(OmegaConf.missing_keys(cfg))
    if missing:
        raise InputError(f"{missing[0]} is not given: add {missing[0]}=...")
    config = OmegaConf.to_container(cfg, resolve=True)
    assert isinstance(config, dict)
    return {str(key): value for key, value in config.items()}


def build_net(cfg: DictConfig, *, trained: bool = False) -> UNet:
    """The network of `cfg.model`, for images of `cfg.data.size`.

    Args:
        cfg: the configuration.
        trained: a checkpoint's weights are put in afterwards, so that none are looked for to start from.

    Raises:
        InputError: parts that do not fit each other, a size that the encoder cannot halve often enough, or a library
            or weights that are not installed.
    """
    scratch = {"encoder": {"pretrained": False}} if trained and "pretrained" in cfg.model.encoder else {}
    net = instantiate(cfg.model, **scratch)
    deepest = net.encoder.strides[-1]
    if any(side < deepest or side % deepest for side in cfg.data.size):
        raise InputError(
            f"data.size={list(cfg.data.size)}: choose multiples of {deepest}, the encoder's stride"
        )
    if min(cfg.data.size) < MIN_MAP * cfg.heatmap.stride:
        raise InputError(
            f"data.size={list(cfg.data.size)}: heatmaps of stride {cfg.heatmap.stride} would have fewer than {MIN_MAP} "
            "rows or columns: choose a larger size"
        )
    return net


def load_start(cfg: DictConfig, net: UNet) -> None:
    """Put the weights that `cfg.init_from` and `cfg.init_modules` name into the network, where they name some.

    Raises:
        InputError: no such checkpoint or part, or weights of another architecture.
    """
    parts = plain(cfg)["init_modules"]
    if parts is not None and not (cfg.init_from and isinstance(parts, list) and parts):
        raise InputError(
            f"init_modules={parts}: give a list such as [encoder,decoder], and init_from=<checkpoint>"
        )
    if cfg.init_from:
        checkpoints.load_weights(net, checkpoints.read(cfg.init_from), cfg.init_from, parts)
        net.head.reset_calibration()  # it was fitted to another network's counts


def build_data(cfg: DictConfig, net: UNet) -> CardDataModule:
    """The data module of `cfg.data`, normalising as the network's encoder wants it."""
    return instantiate(cfg.data, mean=net.encoder.mean, std=net.encoder.std)


def check(cfg: DictConfig) -> None:
    """Refuse, before the long work, what would be refused after it.

    Raises:
        InputError: an unknown decoder, a wrong loss or memory format, or a choice that is for evaluation alone.
    """
    for group in ("data", "split"):
        if "_target_" not in (cfg[group] or {}):
            raise InputError(f"{group}=from_checkpoint is for cardpose.evaluate: choose another {group}")
    for key, (good, mend) in RULES.items():
        value = OmegaConf.select(cfg, key)
        if not good(value):
            raise InputError(f"{key}={value}: {mend}")
    build_decoder(cfg)
    build_loss(cfg)
    choose_memory_format(cfg.trainer.memory_format)


def build_decoder(cfg: DictConfig) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
    """Heatmaps to corners in image pixels, as `cfg.heatmap.decode` does it.

    Raises:
        InputError: an unknown decoder.
    """
    name = cfg.heatmap.get("decode", "quadratic")  # checkpoints from before there was a choice
    return partial(decode, stride=cfg.heatmap.stride, locate=locator(name, cfg.heatmap.sigma))


def build_loss(cfg: DictConfig) -> PacketLoss:
    """The objective of `cfg.loss`, weights and names, and of `cfg.count_head`, what a distribution pays.

    Raises:
        InputError: an unknown name or term, a wrong weight, or a wrong number of the count's.
    """
    # Older checkpoints lack the first two; their `heatmap_loss` and `card_loss` had other choices than mse.
    weights: dict[str, Any] = {"coordinates": 0.0, "distribution": 0.0}
    weights |= {str(key): value for key, value in cfg.loss.items()}
    for key in ("heatmap_loss", "card_loss"):
        if (name := weights.pop(key, "mse")) != "mse":
            raise InputError(f"loss.{key}={name} was removed: leave it out, the loss is the squared error")
    readout = instantiate(cfg.count_head) if "count_head" in cfg else Regression()
    return PacketLoss(weights, cfg.heatmap.sigma, readout.loss)


def build_module(
    cfg: DictConfig, net: UNet, mean_cards: float, description: dict[str, Any]
) -> CardposeModule:
    """The LightningModule around the network."""
    return CardposeModule(
        net,
        loss=build_loss(cfg),
        optimizer=instantiate(cfg.optim),
        scheduler=instantiate(cfg.scheduler),
        decode=build_decoder(cfg),
        mean_cards=mean_cards,
        seed=cfg.seed,
        memory_format=choose_memory_format(cfg.trainer.memory_format),
        description=description,
    )


def build_trainer(
    cfg: DictConfig, callbacks: Sequence[Callback], logger: Logger | bool, **changes: Any
) -> Trainer:
    """The trainer of `cfg.trainer`."""
    settings = {key: value for key, value in cfg.trainer.items() if key != "memory_format"}
    return instantiate(settings, callbacks=list(callbacks), logger=logger, **changes)
