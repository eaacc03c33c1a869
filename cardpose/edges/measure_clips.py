"""Compare predictions with the true counts: `python -m cardpose.edges.measure_clips PREDICTIONS DATASET`.

PREDICTIONS is a folder of `cardpose predict`, DATASET the labelled one with `videos.csv` whose videos were predicted.
Prints a row a range of the pitch for the frames, and one for the clips.
"""

import sys
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

import numpy as np

from cardpose.common.errors import InputError
from cardpose.data.labels.tables import read_table, read_videos
from cardpose.edges.measure import share
from cardpose.fusion.edge_votes import SURE

PITCH = (0.0, 2.5, 3.0, 4.0, 6.0, 99.0)


def table(frames: Iterable[dict[str, str]], clips: Iterable[dict[str, str]], true: dict[str, int]) -> str:
    """A Markdown table of the errors.

    Args:
        frames, clips: rows of frames.csv and of clips.csv.
        true: cards of each video by the stem of its name.
    """
    lines = ["| | number | counted | exact / within 1 of those | sure | exact |", "| --- " * 6 + "|"]
    shots = [
        (_number(f["pixels_a_card"]), _number(f["edges"]), _number(f["edges_probability"]), _true(f, true))
        for f in frames
    ]
    found = np.array(shots, float).reshape(-1, 4)
    for low, high in pairwise(PITCH):
        own = found[(found[:, 0] >= low) & (found[:, 0] < high)]
        if len(own):
            errors, sure = own[:, 1] - own[:, 3], own[:, 2] > SURE
            lines.append(_row(f"frames of {low:g} to {high:g} pixels a card", errors, sure))
    known = [(_number(c["cards"]), c["method"] == "edges", _true(c, true)) for c in clips]
    ends = np.array(known, float).reshape(-1, 3)
    lines.append(_row("clips", ends[:, 0] - ends[:, 2], ends[:, 1] > 0))
    return "\n".join(lines)


def _number(cell: str) -> float:
    return float(cell) if cell else np.nan


def _true(row: dict[str, str], true: dict[str, int]) -> int:
    name = Path(row["clip"]).stem
    if name not in true:
        raise InputError(f"clip {row['clip']}: not in videos.csv: name the dataset that was predicted")
    return true[name]


def _row(name: str, errors: np.ndarray, sure: np.ndarray) -> str:
    """A row; errors are NaN where nothing was counted."""
    counted = np.isfinite(errors)
    cells = [name, str(len(errors)), str(counted.sum())]
    cells.append(f"{share(errors[counted], 0)} / {share(errors[counted], 1)}")
    cells += [f"{100 * sure.mean():.0f} %" if len(sure) else "-", share(errors[sure], 0)]
    return f"| {' | '.join(cells)} |"


def main(predictions: Path, dataset: Path) -> None:
    """Print the table."""
    true = {Path(video.file).stem: video.cards for video in read_videos(dataset) if video.cards}
    frames, clips = (
        [cells for _, cells in read_table(predictions / f"{name}.csv", ("clip",))]
        for name in ("frames", "clips")
    )
    print(table(frames, clips, true))


if __name__ == "__main__":
    main(*(Path(word) for word in sys.argv[1:3]))
