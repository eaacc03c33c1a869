"""What an evaluation says in figures: metrics.json, CSV tables and a table on the terminal."""

import csv
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from cardpose.common.errors import InputError
from cardpose.common.files import replace_file
from cardpose.common.packet import CORNERS, NOT_LABELLED
from cardpose.evaluation.metrics.results import FrameResult, mean_or_nan
from cardpose.fusion.clips import Flag
from cardpose.fusion.intervals import Interval
from cardpose.fusion.videos import VideoEstimates, estimate_videos

Cell = str | int | float

SCORE_HEADINGS = ("per frame", "per video", "constant, per frame", "constant, per video")
CARD_ROWS = (
    ("card error (MAE)", "card_mae", "{:.2f}"),
    ("card error (RMSE)", "card_rmse", "{:.2f}"),
    ("within 1 card", "card_within_1", "{:.1%}"),
    ("within 2 cards", "card_within_2", "{:.1%}"),
)
INTERVAL_ROWS = (
    ("90 % interval holds", "interval_coverage", "{:.1%}"),
    ("90 % interval, cards wide", "interval_width", "{:.2f}"),
)
OTHER_ROWS = (
    ("corner error, median px", "corner_px_median", "{:.2f}"),
    ("corner error, mean px", "corner_px_mean", "{:.2f}"),
    ("corners found (PCK 5 %)", "pck_5", "{:.1%}"),
    ("back to face, mean error px", "thickness_px_mae", "{:.2f}"),
    ("back to face, bias px", "thickness_px_bias", "{:+.2f}"),
    ("visibility accuracy", "visibility_accuracy", "{:.1%}"),
    ("visibility F1", "visibility_f1", "{:.3f}"),
    ("visibility AUROC", "visibility_auroc", "{:.3f}"),
    ("visibility calibration error", "visibility_ece", "{:.3f}"),
)


def write_tables(folder: Path, results: Sequence[FrameResult], interval: Interval | None = None) -> None:
    """Write frames.csv and videos.csv.

    Args:
        folder: made where it is missing; each file is whole or absent.
        results: all frames.
        interval: the network's calibration, None where it has none.

    Raises:
        InputError: the disk is full or the folder may not be written to.
    """
    write_csv(folder / "frames.csv", map(frame_row, results))
    write_csv(folder / "videos.csv", video_rows(results, interval))


def frame_row(result: FrameResult) -> dict[str, Cell]:
    """One line of frames.csv: source pixels, cards, full precision; NaN where there is no label."""
    row: dict[str, Cell] = {
        "video": result.video,
        "frame_index": result.frame_index,
        "cards": result.cards,
        "cards_predicted": result.cards_predicted,
        "cards_std": result.cards_std,
        "flag": Flag(result.flag).label,
        "card_error": result.card_error,
        "corner_px_mean": result.corner_px_mean,
        "thickness_px_bias": result.thickness_px_bias,
    }
    labelled = (result.visibility != NOT_LABELLED)[:, None]
    label = np.where(labelled, result.corners, np.nan)
    for i, name in enumerate(CORNERS):
        row |= {
            f"{name}_x": float(label[i, 0]),
            f"{name}_y": float(label[i, 1]),
            f"{name}_visibility": int(result.visibility[i]),
            f"{name}_x_predicted": float(result.corners_predicted[i, 0]),
            f"{name}_y_predicted": float(result.corners_predicted[i, 1]),
            f"{name}_visible_probability": float(result.visible_probability[i]),
            f"{name}_confidence": float(result.confidence[i]),
            f"{name}_px": float(result.corner_px[i]),
        }
    return row


def estimate_results(results: Sequence[FrameResult]) -> VideoEstimates:
    """The videos' estimates, in order of appearance: see `videos.estimate_videos`; at least one result."""
    columns = np.array([(r.cards_predicted, r.cards_std, r.flag, r.cards) for r in results]).T
    return estimate_videos(np.array([result.video for result in results]), *columns)


def video_rows(results: Sequence[FrameResult], interval: Interval | None = None) -> list[dict[str, Cell]]:
    """Lines of videos.csv in order of appearance: see `videos.estimate_videos`.

    Args:
        results: at least one.
        interval: the network's calibration, None where it has none.
    """
    by_video: dict[str, list[FrameResult]] = {}
    for result in results:
        by_video.setdefault(result.video, []).append(result)
    videos = estimate_results(results)
    low, high = videos.bounds(interval)
    return [
        {
            "video": video,
            "frames": len(frames),
            "frames_used": int(videos.frames_used[i]),
            "cards": float(videos.true[i]),
            "cards_predicted": float(videos.cards[i]),
            "low": float(low[i]),
            "high": float(high[i]),
            "card_error": float(abs(videos.cards[i] - videos.true[i])),
            **_pixel_columns(frames),
        }
        for i, (video, frames) in enumerate(by_video.items())
    ]


def _pixel_columns(frames: Sequence[FrameResult]) -> dict[str, Cell]:
    """How far off the corners of a video's frames are, in source pixels."""
    corner_px = np.concatenate([frame.corner_px[frame.visibility != NOT_LABELLED] for frame in frames])
    thickness_px = np.concatenate([frame.thickness_px for frame in frames])
    thickness_px = thickness_px[~np.isnan(thickness_px)]
    return {
        "corner_px_mean": mean_or_nan(corner_px),
        "corner_px_median": float(np.median(corner_px)) if len(corner_px) else math.nan,
        "thickness_px_bias": mean_or_nan(thickness_px),
    }


def write_csv(path: Path, rows: Iterable[Mapping[str, Cell]]) -> None:
    """Write at least one row under a header; floats in full, NaN as an empty cell."""
    rows = list(rows)
    with replace_file(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        for row in rows:
            writer.writerow({key: "" if value != value else value for key, value in row.items()})


def write_metrics(path: Path, metrics: Mapping[str, Any]) -> None:
    """Write numbers (tensors of one value too) as flat JSON, sorted by key, in full; NaN as null.

    Raises:
        InputError: the disk is full or the folder may not be written to.
    """
    values = {key: float(value) for key, value in sorted(metrics.items())}
    finite = {key: value if math.isfinite(value) else None for key, value in values.items()}
    with replace_file(path) as temporary:
        temporary.write_text(json.dumps(finite, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def score_cells(metrics: Mapping[str, Any], prefix: str = "test/") -> list[list[str]]:
    """The scores as text, a row each: name, per frame, per video, and both of the constant-mean predictor.

    Args:
        metrics: scores named `prefix` + key; rows and cells that are missing or NaN are left out.
        prefix: of the keys.
    """

    def cell(key: str, form: str) -> str:
        value = float(metrics.get(prefix + key, math.nan))
        return "" if math.isnan(value) else form.format(value)

    suffixes = ("", "_video", "_constant", "_video_constant")
    rows = [[label, *(cell(key + suffix, form) for suffix in suffixes)] for label, key, form in CARD_ROWS]
    rows += [[label, "", cell(key, form), "", ""] for label, key, form in INTERVAL_ROWS]
    rows += [[label, cell(key, form), "", "", ""] for label, key, form in OTHER_ROWS]
    return [row for row in rows if any(row[1:])]


def metrics_table(metrics: Mapping[str, Any], prefix: str = "test/", title: str = "") -> Table:
    """The final table, in 80 columns: `score_cells` under a title."""
    table = Table(title=title or None, title_justify="left")
    table.add_column("", no_wrap=True)
    for header in SCORE_HEADINGS:
        table.add_column(header.replace(", ", "\n"), justify="right")
    for row in score_cells(metrics, prefix):
        table.add_row(*row)
    return table


def flatten_config(config: Mapping[str, Any], prefix: str = "") -> dict[str, bool | int | float | str]:
    """A resolved config as one level of scalars under dotted keys, as they are written on the command line.

    >>> flatten_config({"optim": {"lr": 0.001}, "data": {"size": [192, 256], "root": None}})
    {'optim.lr': 0.001, 'data.size': '[192, 256]', 'data.root': 'None'}
    """
    flat: dict[str, bool | int | float | str] = {}
    for key, value in config.items():
        if isinstance(value, Mapping):
            flat |= flatten_config(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value if isinstance(value, bool | int | float | str) else str(value)
    return flat


def check_begun(where: str, begun: Mapping[str, Any], now: Mapping[str, Any], otherwise: str) -> None:
    """Refuse to go on under another configuration.

    Args:
        where: what was begun, which opens the message.
        begun, now: its configuration and the present one, as `flatten_config` takes them.
        otherwise: what else can be done.

    Raises:
        InputError: they differ; the message names the first key.
    """
    before, after = flatten_config(begun), flatten_config(now)
    for key in sorted(before.keys() | after.keys()):
        if before.get(key) != after.get(key):
            raise InputError(
                f"{where}: was begun with {key}={before.get(key)}, not {after.get(key)}: give the choices that it was "
                f"begun with, or {otherwise}"
            )
