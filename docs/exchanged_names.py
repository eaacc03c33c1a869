"""Frames in which the corners' names are exchanged: `python docs/exchanged_names.py REPORT_FOLDER ...`.

REPORT_FOLDER is of `cardpose evaluate`, or the folder `test` of a run. Which corner of a packet is the upper left one
follows from its heading, so that near 45 degrees two namings are close. A frame counts as exchanged where its predicted
corners lie nearer to the labels after all of them are renamed by a quarter, half or three-quarter turn.
"""

import sys
from pathlib import Path

import numpy as np
from count_limits import Table, read

from cardpose.common.packet import CORNERS

AROUND = ("upper_left", "upper_right", "lower_right", "lower_left")
"""The four vertical edges of a packet, in the order of a walk around it."""


def turned(quarters: int) -> list[int]:
    """For each corner, the one that has its name after some quarter turns."""
    places = [name.rsplit("_", 1) for name in CORNERS]
    return [CORNERS.index(f"{AROUND[(AROUND.index(edge) + quarters) % 4]}_{side}") for edge, side in places]


def exchanged(frames: Table) -> np.ndarray:
    """(N,) whether the names of a frame's corners are exchanged."""

    def corners(ending: str) -> np.ndarray:
        return np.stack(
            [np.stack([frames[f"{name}_{axis}{ending}"] for axis in "xy"], 1) for name in CORNERS], 1
        )

    labelled, predicted = corners(""), corners("_predicted")
    seen = np.stack([frames[f"{name}_visibility"] == 2 for name in CORNERS], 1)
    away = [np.linalg.norm(predicted[:, turned(quarters)] - labelled, axis=-1) for quarters in range(4)]
    error = np.nanmedian(np.where(seen, away, np.nan), axis=-1)
    return error[1:].min(0) < error[0]


if __name__ == "__main__":
    for folder in sys.argv[1:]:
        table = read(Path(folder) / "frames.csv")
        found = exchanged(table)
        names = ", ".join(
            f"{video} {index:.0f}"
            for video, index in zip(table["video"][found], table["frame_index"][found], strict=True)
        )
        print(f"{folder}: {found.sum()} of {len(found)} frames{': ' if names else ''}{names}")
