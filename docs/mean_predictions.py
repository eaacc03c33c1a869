"""The mean of several trainings, and of mirrored views: `python docs/mean_predictions.py RUN ...`.

The runs are of one split. Prints the card error per frame and per video (median of its frames) and the median corner
error in source pixels, on their validation and test frames: of each run, of the mean of a frame and its mirror image,
and of the mean of all runs without and with mirror images.
"""

import sys
from typing import NamedTuple

import torch
from torch import Tensor

from cardpose.common.packet import FLIP_INDEX, VISIBLE, Batch
from cardpose.data.datamodule import CardDataModule
from cardpose.models import checkpoints
from cardpose.models.from_config import load_end_to_end
from cardpose.models.released import find_checkpoint
from cardpose.training import build
from cardpose.training.testing import config_for_test, make_split

SUBSETS = ("val", "test")


class Predictions(NamedTuple):
    """Of N frames: cards (N,), corners (N, 8, 2) in source pixels."""

    cards: Tensor
    corners: Tensor


class Tested(NamedTuple):
    """Predictions of N frames and of their mirror images, labels, visible corners (N, 8), videos (N,)."""

    ahead: Predictions
    mirrored: Predictions
    labels: Predictions
    visible: Tensor
    video: Tensor


def to_source(corners: Tensor, batch: Batch) -> Tensor:
    """(B, 8, 2) from the pixels of the network's image to those of the source frame."""
    matrix = batch["to_source"]
    return corners @ matrix[:, :, :2].transpose(1, 2) + matrix[:, None, :, 2]


def read(run: str) -> dict[str, Tested]:
    """The validation and test frames of a run."""
    path = find_checkpoint(run)
    checkpoint = checkpoints.read(path)
    config = config_for_test(checkpoint, path)
    model = load_end_to_end(checkpoint, path)
    data: CardDataModule = build.build_data(config, model.net)
    data.make_split = make_split(config, checkpoint, path, ("train", *SUBSETS))
    data.prepare_data()
    data.setup("fit")
    data.setup("test")
    result = {}
    for subset, loader in (("val", data.val_dataloader()), ("test", data.test_dataloader())):
        rows = []
        for batch in loader:
            image = batch["image"].permute(0, 2, 3, 1)
            with torch.inference_mode():
                ahead, mirrored = model(image), model(image.flip(2))
            back = mirrored.corners[:, FLIP_INDEX].clone()
            back[..., 0] = image.shape[2] - 1 - back[..., 0]
            places = (to_source(corners, batch) for corners in (ahead.corners, back, batch["corners"]))
            rows.append(
                (ahead.cards, mirrored.cards, batch["cards"], *places, batch["visibility"], batch["video"])
            )
        cards, cards_mirrored, true, corners, corners_mirrored, labels, visibility, video = map(
            torch.cat, zip(*rows, strict=True)
        )
        result[subset] = Tested(
            Predictions(cards, corners),
            Predictions(cards_mirrored, corners_mirrored),
            Predictions(true, labels),
            visibility == VISIBLE,
            video,
        )
    return result


def mean(predictions: list[Predictions]) -> Predictions:
    """The mean count and the mean place of each corner."""
    cards, corners = (torch.stack(of_all).mean(0) for of_all in zip(*predictions, strict=True))
    return Predictions(cards, corners)


def scores(predicted: Predictions, tested: Tested) -> str:
    """Card error per frame / per video, corner error."""
    labels, video = tested.labels, tested.video
    frames = (predicted.cards - labels.cards).abs().mean()
    clips = [
        (predicted.cards[video == v].quantile(0.5) - labels.cards[video == v][0]).abs()
        for v in video.unique()
    ]
    error = (predicted.corners - labels.corners).norm(dim=-1)[tested.visible].median()
    return f"{frames:.2f} / {torch.stack(clips).mean():.2f}, {error:.2f} px"


def main(runs: list[str]) -> None:
    """Print the table."""
    every_run = [read(run) for run in runs]
    for subset in SUBSETS:
        tested = [one[subset] for one in every_run]
        ahead, mirrored = [t.ahead for t in tested], [t.mirrored for t in tested]
        rows = dict(zip(runs, ahead, strict=True))
        for run, t in zip(runs, tested, strict=True):
            rows[f"{run} and mirrored"] = mean([t.ahead, t.mirrored])
        rows |= {"mean of all": mean(ahead), "mean of all and mirrored": mean([*ahead, *mirrored])}
        for name, predicted in rows.items():
            print(f"{subset:<5} {name:<50} {scores(predicted, tested[0])}")


if __name__ == "__main__":
    main(sys.argv[1:])
