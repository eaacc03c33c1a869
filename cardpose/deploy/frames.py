"""The frames on which an exported file is compared with PyTorch, and those that calibrate int8."""

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.data import default_collate

from cardpose.common.errors import InputError
from cardpose.common.images import read_image
from cardpose.common.packet import Batch
from cardpose.data.datamodule import CardDataModule
from cardpose.data.dataset import spread_rows, unchanged
from cardpose.data.footage.media import Kind, sort_out, taken
from cardpose.geometry.affine import apply_affine
from cardpose.geometry.letterbox import letterbox
from cardpose.models.unet import UNet
from cardpose.training.build import build_data
from cardpose.training.testing import MakeSplit

log = logging.getLogger(__name__)


def open_data(config: Mapping[str, Any], net: UNet, make_split: MakeSplit) -> CardDataModule:
    """Open the footage of a configuration, unaugmented.

    Args:
        config: as `config_for_test` returns it.
        make_split: annotations -> split; its test frames are compared, its training frames calibrate.

    Raises:
        InputError: the footage is missing or invalid.
    """
    data = build_data(config, net)
    data.augment, data.make_split = unchanged, make_split
    try:
        data.prepare_data()
    except InputError as error:
        raise InputError(f"{error}; to compare on other footage add --data FOLDER --split all") from error
    data.setup("test")
    return data


def labelled_frames(data: CardDataModule, most: int) -> Batch:
    """At most `most` labelled test frames, evenly spread, images still uint8."""
    frames = data.datasets["test"]
    batch: Batch = default_collate([frames[row] for row in spread_rows(len(frames), most)])
    batch["source_corners"] = apply_affine(batch["to_source"], batch["corners"])
    return batch


def calibration_images(folder: Path | None, most: int, data: CardDataModule) -> Iterator[np.ndarray]:
    """(3, H, W) uint8 RGB images of at most `most` pictures.

    Args:
        folder: of the pictures; None: the training frames of `data`.
        most: how many.
        data: set up.

    Raises:
        InputError: there are none.
    """
    if folder is None:
        frames = data.train_dataset
        if not len(frames):
            raise InputError(
                "--precision int8: the split has no training frames to calibrate on: add --calibration-data FOLDER "
                "with pictures"
            )
        yield from (frames[row]["image"].numpy() for row in spread_rows(len(frames), most))
        return
    kinds = sort_out(sorted(path for path in folder.rglob("*") if path.is_file()))
    files = kinds[Kind.PICTURE]
    if not files:
        remedy = "choose another folder"
        if kinds[Kind.VIDEO]:
            remedy = f"take frames of its videos: cardpose subsample {folder} --out FRAMES"
        raise InputError(f"--calibration-data {folder}: holds no picture: {remedy}")
    if others := kinds[Kind.VIDEO] + kinds[Kind.OTHER]:
        log.warning(taken(folder, len(files), others))
    for row in spread_rows(len(files), most):
        yield letterbox(read_image(files[row]), data.size)[0].transpose(2, 0, 1)
