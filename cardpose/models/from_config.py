"""The network and the decoder of a configuration: of conf/ in a training, of a checkpoint afterwards."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from cardpose.common.errors import InputError, MissingExtra
from cardpose.models import checkpoints
from cardpose.models.builder import build
from cardpose.models.end_to_end import Decode, EndToEnd
from cardpose.models.heatmaps import decode
from cardpose.models.metadata import OTHER_VERSION
from cardpose.models.peaks import locator
from cardpose.models.unet import UNet

MIN_MAP = 3
"""Least rows and columns of a heatmap: a peak is located below a pixel by its neighbours."""


def build_net(config: Mapping[str, Any], *, trained: bool = False) -> UNet:
    """Build the network of `config["model"]` for images of `config["data"]["size"]`, with random weights.

    Args:
        config: plain containers.
        trained: a checkpoint's weights are loaded afterwards, so the encoder downloads none.

    Raises:
        InputError: the parts do not fit each other, the encoder cannot halve the size often enough, or a library or
            weights are not installed.
    """
    model = dict(config["model"])
    if trained and "pretrained" in model["encoder"]:
        model["encoder"] = {**model["encoder"], "pretrained": False}
    net: UNet = build(model, "model")
    size, stride, deepest = config["data"]["size"], config["heatmap"]["stride"], net.decoder.deepest_stride
    if any(side < deepest or side % deepest for side in size):
        raise InputError(f"data.size={list(size)}: choose multiples of {deepest}, the encoder's stride")
    if min(size) < MIN_MAP * stride:
        raise InputError(
            f"data.size={list(size)}: heatmaps of stride {stride} would have fewer than {MIN_MAP} rows or columns: "
            "choose a larger size"
        )
    return net


def build_decoder(config: Mapping[str, Any]) -> Decode:
    """Build the decoder that `config["heatmap"]["decode"]` names.

    Raises:
        InputError: an unknown decoder.
    """
    heatmap = config["heatmap"]
    locate = locator(heatmap["decode"], heatmap["sigma"])
    return partial(decode, stride=heatmap["stride"], locate=locate)


def end_to_end(config: Mapping[str, Any]) -> EndToEnd:
    """Build the network of a run's resolved configuration with normalisation and decoding, with random weights.

    Raises:
        InputError: keys are missing, a target is not allowed, or the parts do not fit.
    """
    try:
        return EndToEnd(build_net(config, trained=True), build_decoder(config))
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"the configuration is not one of this version's networks ({error!r})") from error


def load_end_to_end(
    checkpoint: Mapping[str, Any], path: str | Path, config: Mapping[str, Any] | None = None
) -> EndToEnd:
    """The trained network of a checkpoint, with its weights, in evaluation mode.

    Args:
        checkpoint: as `checkpoints.read` returns it.
        path: of the checkpoint, for messages.
        config: in place of the checkpoint's own configuration.

    Raises:
        InputError: a library is not installed, or the configuration or the weights are of another version.
    """
    try:
        model = end_to_end(checkpoint[checkpoints.KEY]["config"] if config is None else config)
    except MissingExtra as error:
        raise InputError(f"{path}: {error}") from error
    except (InputError, LookupError, ValueError) as error:
        raise InputError(f"{path}: {error}: {OTHER_VERSION}") from error
    checkpoints.load_weights(model.net, checkpoint, path, fix=OTHER_VERSION)
    return model.eval()
