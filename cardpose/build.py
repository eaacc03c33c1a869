"""From a configuration to its objects, for the entries: what `train` builds, `evaluate` builds again.

Classes receive built objects and partials; only this file and the entries know the configuration's keys.
"""

import logging
import warnings
from collections.abc import Sequence
from typing import Any

from hydra.utils import instantiate
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.loggers import Logger
from omegaconf import DictConfig, OmegaConf

from cardpose.data.datamodule import CardDataModule
from cardpose.errors import InputError
from cardpose.hardware import choose_memory_format
from cardpose.losses import PacketLoss
from cardpose.models.unet import UNet
from cardpose.module import CardposeModule

# Lightning's hints for developers say nothing that a user of cardpose could act on.
QUIET = (
    r".*does not have many workers which may be a bottleneck.*",
    r".*You're using the WeightAveraging callback, but.*",
    r".*Checkpoint directory .* exists and is not empty.*",
    r".*is smaller than the logging interval.*",
    r".*isinstance\(treespec, LeafSpec\)` is deprecated.*",
)


def quiet_lightning() -> None:
    """Silence `QUIET` and Lightning's tips."""
    for message in QUIET:
        warnings.filterwarnings("ignore", message)
    logging.getLogger("lightning.pytorch.utilities.rank_zero").setLevel(logging.WARNING)


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


def build_net(cfg: DictConfig) -> UNet:
    """The network of `cfg.model`, for images of `cfg.data.size`.

    Raises:
        InputError: parts that do not fit each other, or a size that the encoder cannot halve often enough.
    """
    net = instantiate(cfg.model)
    deepest = net.encoder.strides[-1]
    if any(side < deepest or side % deepest for side in cfg.data.size):
        raise InputError(
            f"data.size={list(cfg.data.size)}: choose multiples of {deepest}, the encoder's stride"
        )
    return net


def build_data(cfg: DictConfig, net: UNet) -> CardDataModule:
    """The data module of `cfg.data`, normalising as the network's encoder wants it."""
    return instantiate(cfg.data, mean=net.encoder.mean, std=net.encoder.std)


def check(cfg: DictConfig) -> None:
    """Refuse, before the long work, what would be refused after it.

    Raises:
        InputError: wrong loss weights or memory format, or a choice that is for evaluation alone.
    """
    for group in ("data", "split"):
        if "_target_" not in (cfg[group] or {}):
            raise InputError(f"{group}=from_checkpoint is for cardpose.evaluate: choose another {group}")
    PacketLoss(cfg.loss, sigma=cfg.heatmap.sigma)
    choose_memory_format(cfg.trainer.memory_format)


def build_module(
    cfg: DictConfig, net: UNet, mean_cards: float, description: dict[str, Any]
) -> CardposeModule:
    """The LightningModule around the network."""
    return CardposeModule(
        net,
        loss=PacketLoss(cfg.loss, sigma=cfg.heatmap.sigma),
        optimizer=instantiate(cfg.optim),
        scheduler=instantiate(cfg.scheduler),
        stride=cfg.heatmap.stride,
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
