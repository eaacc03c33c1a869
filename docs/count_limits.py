"""What limits the count of a model: `python docs/count_limits.py REPORT_FOLDER`, of `cardpose evaluate`.

Prints the card error per frame and per clip of the model, of the model calibrated on one clip (mean over all choices of
that clip), and of a box fitted to the labelled corners with the nominal thickness of a card: a model with perfect
corners that knows nothing of the deck.
"""

import csv
import sys
from pathlib import Path

import numpy as np

from cardpose.common.packet import CORNERS
from cardpose.geometry.box_fit import PHONE_FOCAL, fit_box
from cardpose.models.head import CARD_MM
from cardpose.training.calibration import fit_count

Table = dict[str, np.ndarray]


def read(path: Path) -> Table:
    """The columns of a table, as numbers where they are; NaN for an empty cell."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return {
        key: np.array([row[key] for row in rows])
        if key in ("video", "flag")
        else np.array([float(row[key] or "nan") for row in rows])
        for key in rows[0]
    }


def from_labels(frames: Table, size: tuple[int, int]) -> np.ndarray:
    """(N,) cards of the boxes fitted to the labelled visible corners, in frames of `size` (width, height)."""
    corners = np.stack([np.stack([frames[f"{name}_{axis}"] for axis in "xy"], 1) for name in CORNERS], 1)
    visible = np.stack([frames[f"{name}_visibility"] == 2 for name in CORNERS], 1)
    centre = ((size[0] - 1) / 2, (size[1] - 1) / 2)
    box = fit_box(np.nan_to_num(corners), visible.astype(float), PHONE_FOCAL * size[0], centre)
    return np.clip(box.thickness / CARD_MM, 1, 104)


def main(folder: Path, size: tuple[int, int] = (640, 480)) -> None:
    """Print the three errors."""
    frames, videos = read(folder / "frames.csv"), read(folder / "videos.csv")

    def errors(one: np.ndarray, clips: np.ndarray) -> np.ndarray:
        return np.array(
            [np.nanmean(np.abs(one - frames["cards"])), np.nanmean(np.abs(clips - videos["cards"]))]
        )

    def line(name: str, error: np.ndarray) -> None:
        print(f"{name:<32} {error[0]:.2f} cards a frame, {error[1]:.2f} a clip")

    line("the model", errors(frames["cards_predicted"], videos["cards_predicted"]))
    calibrated = []
    for name, cards, predicted in zip(
        videos["video"], videos["cards"], videos["cards_predicted"], strict=True
    ):
        scale, offset = fit_count(np.array([cards]), np.array([predicted]))
        one, clips = (
            np.where(
                table["video"] == name, np.nan, np.clip(scale * table["cards_predicted"] + offset, 1, 104)
            )
            for table in (frames, videos)
        )
        calibrated.append(errors(one, clips))
    line("calibrated on one clip", np.mean(calibrated, 0))
    labelled = from_labels(frames, size)
    medians = np.array([np.nanmedian(labelled[frames["video"] == name]) for name in videos["video"]])
    line("the labelled corners alone", errors(labelled, medians))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
