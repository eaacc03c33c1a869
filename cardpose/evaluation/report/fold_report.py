"""Tables, plots and page of a cross-validation, from the run folders of its folds."""

from collections.abc import Collection, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table as TerminalTable

from cardpose.common.errors import InputError, first_line
from cardpose.common.files import replace_file
from cardpose.common.packet import NOT_LABELLED, Annotation
from cardpose.data.datamodule import CardDataModule
from cardpose.evaluation.metrics.results import FrameResult
from cardpose.evaluation.report.error_by_condition import SHARPNESS, condition_rows, sharpness, viewpoints
from cardpose.evaluation.report.folds import (
    LEGEND,
    TITLES,
    cells,
    fold_table,
    frame_of,
    markdown,
    pool,
    read_scores,
    score_rows,
)
from cardpose.evaluation.report.html import Picture, Section, Table
from cardpose.evaluation.report.plots import error_by_condition
from cardpose.evaluation.report.sections import (
    corner_section,
    count_section,
    frame_sections,
    interval_section,
    visibility_section,
    write_sections,
)
from cardpose.evaluation.report.tables import Cell, estimate_results, write_csv
from cardpose.evaluation.report.test_result import Frames
from cardpose.fusion.settings import FusionConfig
from cardpose.fusion.videos import bounds_across
from cardpose.models import checkpoints, metadata

WORST_FRAMES = 20


def write_scores(
    folder: Path, runs: Mapping[int, Path], command: str, failed: Collection[int]
) -> list[TerminalTable]:
    """Write table.csv (every score) and table.md (the most important ones).

    Args:
        runs: run folders of the finished folds.
        failed: numbers of the other folds.

    Returns:
        The tables for the terminal: validation, and test.

    Raises:
        InputError: the disk is full or the folder is not writable.
    """
    rows = rows_of(runs)
    write_csv(folder / "table.csv", rows)
    text = f"# {folder.name}\n\n    {command}\n\nCommit {', '.join(commits(runs))}. {LEGEND}.\n\n"
    text += "".join(f"{line}\n\n" for line in missing(failed))
    text += "\n".join(f"## {title}\n\n{markdown(rows, subset)}" for subset, title in TITLES.items())
    with replace_file(folder / "table.md") as temporary:
        temporary.write_text(text, encoding="utf-8")
    return [fold_table(rows, subset, title) for subset, title in TITLES.items()]


def rows_of(runs: Mapping[int, Path]) -> list[dict[str, Cell]]:
    """`folds.score_rows` of the folds."""
    return score_rows({fold: read_scores(run / "metrics.json") for fold, run in runs.items()})


def missing(failed: Collection[int]) -> list[str]:
    """A sentence about the failed folds, if there are any."""
    return [f"Failed and not included: fold {', '.join(map(str, failed))}."] if failed else []


def commits(runs: Mapping[int, Path]) -> list[str]:
    """The commits by which the folds were trained, without repetition."""
    return list(dict.fromkeys(str(description(run)["git_commit"]) for run in runs.values()))


@cache
def description(run: Path) -> dict[str, Any]:
    """The "cardpose" entry of a run's best checkpoint."""
    return checkpoints.read(run / "checkpoints" / "best.ckpt")[checkpoints.KEY]


def write_frames(
    folder: Path, runs: Mapping[int, Path], data: CardDataModule, command: str, failed: Collection[int]
) -> None:
    """Write tables, plots, the worst frames and report.html of the test frames of all folds.

    Args:
        runs: folders of the finished folds.
        data: the footage, its frames cached.
        failed: the other folds.

    Raises:
        InputError: a table of a fold is damaged, the disk is full, or the folder is not writable.
    """
    rows, videos = pool(runs, "frames.csv"), pool(runs, "videos.csv")
    write_csv(folder / "frames.csv", rows)
    write_csv(folder / "videos.csv", videos)
    try:
        results = [frame_of(row) for row in rows]
    except (KeyError, ValueError) as error:
        reason = f"{type(error).__name__}: {first_line(error)}"
        raise InputError(f"{folder}: a fold's test/frames.csv is damaged ({reason}): restore it") from None
    data.setup("predict")
    frames = Frames(data.datasets["predict"], data.footage)
    true = np.array([result.cards for result in results])
    errors = condition_rows(results, {"cards": true, **conditions(frames, data.annotations, results)})
    write_csv(folder / "errors.csv", errors)
    videos_of_fold = {str(fold): calibrated_on(run) for fold, run in runs.items()}
    fusion = checkpoints.fusion(description(next(iter(runs.values()))))  # the folds share one configuration
    parts = [
        *score_sections(rows_of(runs), missing(failed)),
        count_section(results),
        condition_section(errors),
        interval_section(
            videos,
            np.array([videos_of_fold[row["fold"]] for row in videos]),
            across_folds(rows, results, fusion),
        ),
        visibility_section(results),
        corner_section(results),
        *frame_sections(results, frames.draw, WORST_FRAMES),
    ]
    facts = {"command": command, "trained by": f"commit {', '.join(commits(runs))}"}
    write_sections(folder, folder.name, facts, parts)


def score_sections(rows: Sequence[Mapping[str, Cell]], text: Sequence[str]) -> list[Section]:
    """The tables of `write_scores` as sections, with `text` and the legend."""
    tables = [Table(*cells(rows, subset)) for subset in TITLES]
    texts: tuple[list[str], ...] = [*text, f"{LEGEND.capitalize()}."], []
    return [Section(*part) for part in zip(TITLES.values(), texts, tables, strict=True)]


def condition_section(rows: Sequence[Mapping[str, Cell]]) -> Section:
    """Errors by count, viewpoint and sharpness, of `error_by_condition.condition_rows`."""
    picture = Picture(
        "errors",
        error_by_condition(rows),
        "Mean absolute card error by count, camera elevation, heading and sharpness; the numbers are in errors.csv.",
        "The dashed line is the mean over all frames.",
    )
    return Section("Errors by condition", [], pictures=[picture])


def across_folds(
    rows: Sequence[Mapping[str, str]], results: Sequence[FrameResult], fusion: FusionConfig
) -> list[str]:
    """A sentence about the intervals if those of each fold were calibrated on the tested videos of the other folds.

    Args:
        rows: the frames of all folds, of frames.csv with its fold.
        fusion: settings of the folds' models, by which the frames of a video are fused.
    """
    fold_of = {row["video"]: int(row["fold"]) for row in rows}
    videos = estimate_results(results, fusion)
    known = videos.of(~np.isnan(videos.true))
    low, high = bounds_across(known, np.array([fold_of[name] for name in known.video]))
    known_low = ~np.isnan(low)
    if not known_low.any():
        return []
    held = int(((low <= known.true) & (known.true <= high))[known_low].sum())
    return [
        f"Calibrated on the tested videos of the other folds, it would have held {held} of {known_low.sum()} "
        f"counts and been {(high - low)[known_low].mean():.1f} cards wide."
    ]


def calibrated_on(run: Path) -> int:
    """Number of videos that the interval of a run was calibrated on, 0 without an interval."""
    interval = metadata.interval(description(run))
    return interval.videos if interval else 0


def conditions(
    frames: Frames, annotations: Sequence[Annotation], results: Sequence[FrameResult]
) -> dict[str, np.ndarray]:
    """Elevation and heading of the camera in degrees, and the sharpness, (N,) each; NaN if unknown.

    Args:
        frames: the whole footage.
        results: N frames.
    """
    rows, dataset = [frames.row(result) for result in results], frames.dataset
    elevation, heading = viewpoints([annotations[row] for row in rows])
    labelled = [dataset.corners[row][dataset.visibility[row] != NOT_LABELLED] for row in rows]
    sharp = [sharpness(frames.image(result), own) for result, own in zip(results, labelled, strict=True)]
    return {"elevation": elevation, "heading": heading, SHARPNESS: np.array(sharp)}
