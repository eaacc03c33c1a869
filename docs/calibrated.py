"""The card error that one clip of known count leaves: `python docs/calibrated.py REPORT_FOLDER`.

Every clip of the report in turn calibrates the others; the errors of frames and clips are means over these choices.
"""

import csv
import sys
from pathlib import Path

import numpy as np

from cardpose.training.calibration import fit_count


def read(path: Path) -> list[dict[str, str]]:
    """The rows of a table."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def main(folder: Path) -> None:
    """Print the mean error per frame and per clip, without a calibration and with it."""
    videos, frames = (
        [row for row in read(folder / name) if row["cards_predicted"]]
        for name in ("videos.csv", "frames.csv")
    )
    errors = []
    for one in videos:
        scale, offset = fit_count(*(np.array([float(one[key])]) for key in ("cards", "cards_predicted")))
        errors.append(
            [
                np.mean(
                    [
                        abs(
                            np.clip(scale * float(row["cards_predicted"]) + offset, 1, 104)
                            - float(row["cards"])
                        )
                        for row in rows
                        if row["video"] != one["video"]
                    ]
                )
                for rows in (frames, videos)
            ]
        )
    before = [
        np.mean([abs(float(row["cards_predicted"]) - float(row["cards"])) for row in rows])
        for rows in (frames, videos)
    ]
    after, spread = np.mean(errors, 0), np.std(errors, 0)
    for name, i in (("frame", 0), ("clip", 1)):
        own = f"calibrated on one clip {after[i]:.2f} (standard deviation {spread[i]:.2f})"
        print(f"a {name}: {before[i]:.2f} cards, {own}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
