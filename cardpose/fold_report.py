"""What a cross-validation writes and prints, from the run folders of its folds."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from rich.table import Table

from cardpose import checkpoints
from cardpose.conditions import SHARPNESS, condition_rows, sharpness, viewpoints
from cardpose.data.datamodule import CardDataModule
from cardpose.data.files import replace_file
from cardpose.data.images import write_image
from cardpose.folds import LEGEND, fold_table, frame_of, markdown, pool, read_scores, score_rows, worst
from cardpose.packet import NOT_LABELLED
from cardpose.plots import error_by_condition, error_by_count, scatter_cards
from cardpose.reports import write_csv
from cardpose.results import FrameResult
from cardpose.viz import caption, contact_sheet, draw_result

WORST = {"worst_cards": "card_error", "worst_corners": "corner_px_mean"}
"""Sheets of frames and the error that is the largest there."""
WORST_FRAMES = 20
TITLES = {"val": "Validation: choose by these", "test": "Test: report these, choose nothing by them"}


def write_scores(folder: Path, runs: Mapping[int, Path], command: str, failed: Sequence[int]) -> list[Table]:
    """Write table.csv (every score) and table.md (those that matter).

    Args:
        folder: where.
        runs: folders of the finished folds.
        command: that made them.
        failed: the other folds.

    Returns:
        The tables for the terminal: validation, and test.

    Raises:
        InputError: the disk is full or the folder may not be written to.
    """
    rows = score_rows({fold: read_scores(run / "metrics.json") for fold, run in runs.items()})
    write_csv(folder / "table.csv", rows)
    missing = f"Failed, and in none of the figures: fold {', '.join(map(str, failed))}.\n\n" if failed else ""
    text = f"# {folder.name}\n\n    {command}\n\nCommit {', '.join(commits(runs))}. {LEGEND}.\n\n{missing}"
    text += "\n".join(f"## {title}\n\n{markdown(rows, side)}" for side, title in TITLES.items())
    with replace_file(folder / "table.md") as temporary:
        temporary.write_text(text, encoding="utf-8")
    return [fold_table(rows, side, title) for side, title in TITLES.items()]


def commits(runs: Mapping[int, Path]) -> list[str]:
    """The commits that trained the folds, each once."""
    described = (
        checkpoints.read(run / "checkpoints" / "best.ckpt")[checkpoints.KEY] for run in runs.values()
    )
    return list(dict.fromkeys(str(says["git_commit"]) for says in described))


def write_frames(folder: Path, runs: Mapping[int, Path], data: CardDataModule) -> None:
    """Write what the test frames of all folds show together: tables, plots and the worst frames.

    Args:
        folder: where.
        runs: folders of the finished folds.
        data: the footage, its frames cached.

    Raises:
        InputError: the disk is full or the folder may not be written to.
    """
    frames = pool(runs, "frames.csv")
    write_csv(folder / "frames.csv", frames)
    write_csv(folder / "videos.csv", pool(runs, "videos.csv"))
    results = [frame_of(row) for row in frames]
    predicted = np.array([result.cards_predicted for result in results])
    true = np.array([result.cards for result in results])
    write_image(folder / "scatter.png", scatter_cards(predicted, true))
    write_image(folder / "error_by_count.png", error_by_count(predicted, true))
    look = Frames(data)
    errors = condition_rows(results, {"cards": true, **look.conditions(results)})
    write_csv(folder / "errors.csv", errors)
    write_image(folder / "errors.png", error_by_condition(errors))
    for name, error in WORST.items():
        if chosen := worst(results, error, WORST_FRAMES):
            sheet = contact_sheet(
                [look.draw(result) for result in chosen], [caption(frame) for frame in chosen]
            )
            write_image(folder / f"{name}.png", sheet)


class Frames:
    """The cached frames behind results.

    Args:
        data: of the footage that they are from.
    """

    def __init__(self, data: CardDataModule) -> None:
        data.setup("predict")
        self.side, self.annotations = data.sides["predict"], data.annotations
        self.row = {(a.video, a.frame_index): row for row, a in enumerate(self.annotations)}

    def conditions(self, results: Sequence[FrameResult]) -> dict[str, np.ndarray]:
        """Elevation and heading of the camera in degrees, and the sharpness, (N,) each; NaN where unknown."""
        rows = [self.row[result.video, result.frame_index] for result in results]
        elevation, heading = viewpoints([self.annotations[row] for row in rows])
        labelled = [self.side.corners[row][self.side.visibility[row] != NOT_LABELLED] for row in rows]
        sharp = [sharpness(self._image(row), corners) for row, corners in zip(rows, labelled, strict=True)]
        return {"elevation": elevation, "heading": heading, SHARPNESS: np.array(sharp)}

    def draw(self, result: FrameResult) -> np.ndarray:
        """`viz.draw_result` on the network's view of the frame."""
        row = self.row[result.video, result.frame_index]
        return draw_result(self._image(row), self.side.to_source[row], result)

    def _image(self, row: int) -> np.ndarray:
        return np.array(self.side.cache.images[self.side.rows[row]])
