"""From a configuration to the objects of a training; `train`, `evaluate` and the tools build the same ones.

A configuration is plain containers here. Classes receive built objects and partials; only this file, `trainer.py` and
the entries know its keys.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from lightning.pytorch import Callback
from lightning.pytorch.loggers import Logger

from cardpose.common.errors import InputError
from cardpose.common.packet import NOT_LABELLED, Annotation
from cardpose.data.datamodule import CardDataModule
from cardpose.data.dataset import MixedDataset
from cardpose.data.exclusion import exclude_from_training
from cardpose.data.splits import Split
from cardpose.fusion.settings import FusionConfig
from cardpose.models import checkpoints
from cardpose.models.builder import build
from cardpose.models.from_config import build_decoder, build_net
from cardpose.models.released import find_checkpoint
from cardpose.models.spatial import GraphicalModel
from cardpose.models.unet import UNet
from cardpose.training.hardware import choose_memory_format
from cardpose.training.lightning_module import CardposeModule
from cardpose.training.losses.packet_loss import PacketLoss


def _whole(low: int, high: int = 2**32 - 1) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, int) and low <= value <= high


def _number(value: Any) -> bool:
    return isinstance(value, int | float)


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
    "data.size": (
        lambda value: isinstance(value, list) and len(value) == 2 and all(map(_whole(1), value)),
        "write [height,width], whole numbers",
    ),
    "heatmap.sigma": (lambda value: _number(value) and value > 0, "choose a number above 0"),
    "optim.lr": (lambda value: _number(value) and value >= 0, "choose a number from 0"),
    "seed": (_whole(0), "choose a whole number from 0"),
    "trainer.max_epochs": (_whole(1), "choose a whole number from 1"),
}
"""Key -> what its value must be, and how to fix one that is not."""


def check(config: Mapping[str, Any]) -> None:
    """Check values before the long work that would fail only after it.

    Raises:
        InputError: a wrong value, or an unknown decoder, loss, fusion setting or memory format.
    """
    check_values(config)
    build_decoder(config)
    build_loss(config)
    FusionConfig.from_dict(config["fusion"])
    choose_memory_format(config["trainer"]["memory_format"])


def check_values(config: Mapping[str, Any]) -> None:
    """Check the values that `RULES` names.

    Raises:
        InputError: a wrong value.
    """
    for key, (is_valid, fix) in RULES.items():
        value = _select(config, key)
        if not is_valid(value):
            raise InputError(f"{key}={value}: {fix}")


def _select(config: Mapping[str, Any], key: str) -> Any:
    """The value of a dotted key, None where there is none."""
    value: Any = config
    for name in key.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


_PARTS = ("model", "heatmap", "spatial", "count_features", "count_head")
ARCHITECTURE = (*_PARTS, "data.size")
"""Keys that a new run takes from the checkpoint that it starts from, where the command line names none of them."""


def adopt_architecture(config: Mapping[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """The configuration with the network of the checkpoint that `init_from` names, if nothing else was asked for.

    Args:
        config: plain containers.
        overrides: of the command line; one of `ARCHITECTURE`, or `init_modules`, keeps the configuration as it is.

    Raises:
        InputError: no such checkpoint.
    """
    keys = [override.split("=")[0].lstrip("+~") for override in overrides]
    named = any(key.startswith((*ARCHITECTURE, "init_modules")) for key in keys)
    if named or not config["init_from"] or config["init_modules"]:
        return dict(config)
    trained = checkpoints.read(find_checkpoint(config["init_from"]))[checkpoints.KEY]["config"]
    same = {key: trained[key] for key in _PARTS if key in trained}
    data = {key: trained["data"][key] for key in ("size", "encode_heatmaps")}
    return {**config, **same, "data": {**config["data"], **data}}


def load_start(config: Mapping[str, Any], net: UNet) -> None:
    """Load the weights that `init_from` and `init_modules` name, where they name some; fix `fixed_modules`.

    Raises:
        InputError: no such checkpoint or module, or weights of another architecture.
    """
    start, modules, fixed = config["init_from"], config["init_modules"], config["fixed_modules"]
    if modules is not None and not (start and isinstance(modules, list) and modules):
        raise InputError(
            f"init_modules={modules}: give a list such as [encoder,decoder], and init_from=<checkpoint>"
        )
    if start:
        checkpoints.load_weights(net, checkpoints.read(find_checkpoint(start)), start, modules)
        net.head.reset_calibration()  # it was fitted to another network's counts
    if fixed is not None:
        if not (start and isinstance(fixed, list)):
            raise InputError(
                f"fixed_modules={fixed}: give a list such as [encoder,decoder], and init_from=<checkpoint>"
            )
        if modules and (untrained := sorted(set(fixed) - set(modules))):
            raise InputError(
                f"fixed_modules={fixed}: init_modules does not load {untrained[0]}: add it there"
            )
        net.fix(fixed)
        if not any(weight.requires_grad for weight in net.parameters()):
            raise InputError(f"fixed_modules={fixed}: nothing is left to train, leave one out")


def build_start(config: Mapping[str, Any]) -> tuple[UNet, CardDataModule]:
    """Build the network with the weights that it starts from, and its data.

    Raises:
        InputError: see `build_net`, `PacketLoss.check_maps` and `load_start`.
    """
    net = build_net(config)
    build_loss(config).check_maps(net.earlier_maps)
    load_start(config, net)
    return net, build_data(config, net)


def build_data(config: Mapping[str, Any], net: UNet) -> CardDataModule:
    """Build the data module of `data`; it normalises images as the network's encoder expects.

    `data.exclude_labels` holds for the configuration's own split only: a checkpoint's is already without these frames.
    """
    settings = {key: value for key, value in config["data"].items() if key != "exclude_labels"}
    data: CardDataModule = build({**settings, "mean": net.encoder.mean, "std": net.encoder.std}, "data")
    data.make_split = build_split(config["data"], data)
    return data


def build_split(settings: Mapping[str, Any], data: CardDataModule) -> Callable[[Sequence[Annotation]], Split]:
    """Build the split of `settings`, a configuration of `data`, without the frames of its `exclude_labels`."""
    make_split, exclude = build(settings["split"], "split"), settings.get("exclude_labels")
    return lambda kept: exclude_from_training(make_split(kept), data.footage.annotations, exclude)


def start_spatial(config: Mapping[str, Any], net: UNet, data: CardDataModule) -> None:
    """Start the priors of `spatial=graphical` from the footage's training labels, unless they were loaded."""
    loaded = config["init_modules"] or [name for name, _ in net.named_children()]
    if not isinstance(net.spatial, GraphicalModel) or (config["init_from"] and "spatial" in loaded):
        return
    data.setup("fit")
    dataset = data.train_dataset
    footage = dataset.footage if isinstance(dataset, MixedDataset) else dataset
    if footage is not None:  # a stream alone has no labels yet
        net.spatial.start_from(
            torch.from_numpy(footage.corners), torch.from_numpy(footage.visibility != NOT_LABELLED)
        )


def build_callbacks(config: Mapping[str, Any]) -> list[Callback]:
    """Build the callbacks of `callbacks`; one that is null is left out."""
    built = build(config["callbacks"], "callbacks")
    return [callback for callback in built.values() if callback is not None]


def build_logger(config: Mapping[str, Any]) -> Logger:
    """Build the logger of `logger`."""
    return build(config["logger"], "logger")


def prepare_data(data: CardDataModule, world_size: int) -> None:
    """Split the data and build its frame cache.

    Raises:
        InputError: see `CardDataModule.check_training`.
    """
    data.check_training(world_size)
    data.prepare_data()


def mean_cards(data: CardDataModule) -> float:
    """The answer of the constant predictor; NaN where no training frame has a count."""
    counts = data.train_cards
    return float(counts.mean()) if len(counts) else float("nan")


def build_loss(config: Mapping[str, Any]) -> PacketLoss:
    """Build the objective of `loss` (weights and names) and `count_head` (the loss of a distribution).

    Raises:
        InputError: an unknown name or term, or a wrong weight.
    """
    weights = dict(config["loss"])
    for key in ("heatmap_loss", "card_loss"):  # only old checkpoints have them
        if name := weights.pop(key, None):
            raise InputError(
                f"loss.{key}={name} was removed: leave it out, the loss is the squared error; to evaluate or resume a "
                "run that was trained with it use cardpose 0.1.0"
            )
    count_head = build(config["count_head"], "count_head")
    return PacketLoss(weights, config["heatmap"]["sigma"], count_head.loss)


def build_module(
    config: Mapping[str, Any], net: UNet, mean_cards: float, description: dict[str, Any]
) -> CardposeModule:
    """Build the LightningModule around the network.

    Raises:
        InputError: a list of weights in the loss that does not fit the network.
    """
    loss = build_loss(config)
    loss.check_maps(net.earlier_maps)
    return CardposeModule(
        net,
        loss=loss,
        optimizer=build(config["optim"], "optim"),
        scheduler=build(config["scheduler"], "scheduler"),
        decode=build_decoder(config),
        mean_cards=mean_cards,
        fusion=FusionConfig.from_dict(config["fusion"]),
        seed=config["seed"],
        memory_format=choose_memory_format(config["trainer"]["memory_format"]),
        description=description,
    )
