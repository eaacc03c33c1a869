"""The frames that an exported file is compared on, and those that its 8 bits are calibrated on."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import DictConfig
from torch.utils.data import default_collate

from cardpose.common.errors import InputError
from cardpose.common.images import SUFFIXES, read_image
from cardpose.common.packet import Batch
from cardpose.data.datamodule import CardDataModule
from cardpose.data.dataset import unchanged
from cardpose.data.splits import explicit
from cardpose.geometry.affine import apply_affine
from cardpose.geometry.letterbox import letterbox
from cardpose.models.unet import UNet
from cardpose.training import build
from cardpose.training import testing as measure


def open_data(cfg: DictConfig, described: Mapping[str, Any], net: UNet) -> CardDataModule:
    """The run's own data on its own split, or what the command line names; nothing is augmented.

    Raises:
        InputError: the footage is not there, or what the user can mend otherwise.
    """
    config = measure.merge(dict(described["config"]), cfg)
    config["data"]["size"] = described["config"]["data"]["size"]  # the graph is for no other
    data = build.build_data(config, net)
    data.augment = unchanged
    if not cfg.split:
        data.make_split = partial(explicit, subsets=described["split"], name=f"{cfg.ckpt}'s split")
    try:
        data.prepare_data()
    except InputError as error:
        raise InputError(
            f"{error}; to compare on rendered frames instead add data=synthetic render=tiny "
            "data.root=outputs/synthetic_tiny split=all"
        ) from error
    data.setup("test")
    return data


def labelled_frames(data: CardDataModule, most: int) -> Batch:
    """Labelled frames of the test side, evenly spread, images still uint8."""
    side = data.datasets["test"]
    batch: Batch = default_collate([side[row] for row in spread_rows(len(side), most)])
    batch["source_corners"] = apply_affine(batch["to_source"], batch["corners"])
    return batch


def calibration_images(cfg: DictConfig, data: CardDataModule) -> Iterator[np.ndarray]:
    """(3, H, W) uint8 RGB images of the pictures in `cfg.calibration.data`, or of the training side where it is null.

    Raises:
        InputError: there are none.
    """
    folder, most = cfg.calibration.data, cfg.calibration.frames
    if folder is None:
        side = data.train_dataset
        if not len(side):
            raise InputError(
                "precision=int8: the split has no training frames to calibrate on: add calibration.data=<a folder of "
                "pictures>"
            )
        yield from (side[row]["image"].numpy() for row in spread_rows(len(side), most))
        return
    files = sorted(file for file in Path(folder).rglob("*") if file.suffix.lower() in SUFFIXES)
    if not files:
        raise InputError(
            f"calibration.data={folder}: holds no picture ({', '.join(SUFFIXES)}): choose another folder"
        )
    for row in spread_rows(len(files), most):
        yield letterbox(read_image(files[row]), data.size)[0].transpose(2, 0, 1)


def spread_rows(count: int, most: int) -> Sequence[int]:
    """At most `most` of `count` rows, evenly spread.

    >>> spread_rows(10, 3), spread_rows(2, 3)
    ([0, 4, 9], [0, 1])
    """
    return np.linspace(0, count - 1, min(count, most)).round().astype(int).tolist()
