"""Scores and tables of an evaluation: metrics.json, CSV files, and the table on the terminal."""

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
from cardpose.common.scores import SCORES, VARIANTS
from cardpose.evaluation.metrics.results import FrameResult, mean_or_nan
from cardpose.fusion.clips import Flag
from cardpose.fusion.edge_votes import Vote, choose, combine
from cardpose.fusion.intervals import Interval
from cardpose.fusion.settings import FusionConfig
from cardpose.fusion.videos import VideoEstimates, estimate_videos

Cell = str | int | float


def write_tables(folder: Path, results: Sequence[FrameResult], videos: Sequence[Mapping[str, Cell]]) -> None:
    """Write frames.csv, with columns about edges where those of any frame were looked at, and videos.csv.

    Args:
        folder: created if missing; each file is complete or absent.
        videos: of `video_rows`.

    Raises:
        InputError: the disk is full or the folder is not writable.
    """
    looked_at = any(result.edges for result in results)
    rows = (frame_row(r) | (_edge_cells(r.method, [r]) if looked_at else {}) for r in results)
    write_csv(folder / "frames.csv", rows)
    write_csv(folder / "videos.csv", videos)


def frame_row(result: FrameResult) -> dict[str, Cell]:
    """One row of frames.csv: source pixels, cards, full precision; NaN without a label."""
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


def estimate_results(results: Sequence[FrameResult], fusion: FusionConfig) -> VideoEstimates:
    """Estimates of the videos in order of appearance, see `videos.estimate_videos`; at least one result."""
    columns = np.array([(r.cards_predicted, r.cards_std, r.flag, r.cards) for r in results]).T
    cards, cards_std, flags, true = columns
    names = np.array([result.video for result in results])
    return estimate_videos(names, cards, cards_std, flags, true, fusion)


def video_rows(
    results: Sequence[FrameResult], interval: Interval | None, fusion: FusionConfig
) -> list[dict[str, Cell]]:
    """Rows of videos.csv in order of appearance, see `videos.estimate_videos`; the edges of a video's frames vote.

    Args:
        results: at least one.
        interval: the model's calibration, None where it has none.
        fusion: settings by which the frames of a video are fused.
    """
    by_video: dict[str, list[FrameResult]] = {}
    for result in results:
        by_video.setdefault(result.video, []).append(result)
    videos = estimate_results(results, fusion)
    bounds = videos.bounds(interval)
    looked_at = any(result.edges for result in results)
    rows = []
    for i, (video, frames) in enumerate(by_video.items()):
        fused, low, high = (float(column[i]) for column in (videos.cards, *bounds))
        cards, low, high, method = choose(fused, low, high, _vote(frames) if videos.frames_used[i] else None)
        row: dict[str, Cell] = {
            "video": video,
            "frames": len(frames),
            "frames_used": int(videos.frames_used[i]),
            "cards": float(videos.true[i]),
            "cards_predicted": cards,
            "low": low,
            "high": high,
            "card_error": float(abs(cards - videos.true[i])),
            **_pixel_columns(frames),
        }
        rows.append(row | (_edge_cells(method, frames) if looked_at else {}))
    return rows


def _vote(frames: Sequence[FrameResult]) -> Vote:
    """One count by edges; 0 with probability 0 where they say nothing."""
    return combine(frame.edges.vote for frame in frames if frame.edges and frame.edges.vote)


def _edge_cells(method: str, frames: Sequence[FrameResult]) -> dict[str, Cell]:
    """Columns about the edges of one frame, or of all frames of a video; empty where they were not looked at."""
    cards, probability = _vote(frames)
    pitch = [frame.edges.pitch for frame in frames if frame.edges and not math.isnan(frame.edges.pitch)]
    return {
        "method": method,
        "edges": cards or "",
        "edges_probability": probability if any(frame.edges for frame in frames) else "",
        "pixels_a_card": float(np.median(pitch)) if pitch else "",
    }


def _pixel_columns(frames: Sequence[FrameResult]) -> dict[str, Cell]:
    """Corner and thickness errors of the frames of one video, in source pixels."""
    corner_px = np.concatenate([frame.corner_px[frame.visibility != NOT_LABELLED] for frame in frames])
    thickness_px = np.concatenate([frame.thickness_px for frame in frames])
    thickness_px = thickness_px[~np.isnan(thickness_px)]
    return {
        "corner_px_mean": mean_or_nan(corner_px),
        "corner_px_median": float(np.median(corner_px)) if len(corner_px) else math.nan,
        "thickness_px_bias": mean_or_nan(thickness_px),
    }


def write_csv(path: Path, rows: Iterable[Mapping[str, Cell]], columns: Sequence[str] = ()) -> None:
    """Write rows under a header; floats with full precision, NaN as an empty cell.

    Args:
        columns: of the header; by default those of the first row.
    """
    rows = list(rows)
    with replace_file(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns or list(rows[0]), lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow({key: "" if value != value else value for key, value in row.items()})


def write_metrics(path: Path, metrics: Mapping[str, Any]) -> None:
    """Write numbers (or tensors of one value) as flat JSON, sorted by key, with full precision; NaN as null.

    Raises:
        InputError: the disk is full or the folder is not writable.
    """
    values = {key: float(value) for key, value in sorted(metrics.items())}
    finite = {key: value if math.isfinite(value) else None for key, value in values.items()}
    with replace_file(path) as temporary:
        temporary.write_text(json.dumps(finite, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def score_cells(metrics: Mapping[str, Any]) -> list[list[str]]:
    """The test scores as text, one row each: title, then one cell for each of `VARIANTS`.

    Args:
        metrics: by the keys of metrics.json, test/...; missing ones and NaN give empty cells, and no row if all are.
    """
    rows = []
    for score in SCORES.values():
        keys = [score.key + suffix for suffix in VARIANTS] if score.per == "both" else [score.key]
        cells = [score.text(float(metrics.get(f"test/{key}", math.nan))) for key in keys]
        cells = ["", *cells] if score.per == "video" else cells
        if any(cells):
            rows.append([score.title, *cells, *[""] * (len(VARIANTS) - len(cells))])
    return rows


def metrics_table(metrics: Mapping[str, Any]) -> Table:
    """The table of the test scores for the terminal, 80 columns wide."""
    table = Table()
    table.add_column("", no_wrap=True)
    for header in VARIANTS.values():
        table.add_column(header.replace(", ", "\n"), justify="right")
    for row in score_cells(metrics):
        table.add_row(*row)
    return table


def flatten_config(config: Mapping[str, Any], prefix: str = "") -> dict[str, bool | int | float | str]:
    """A resolved config as one level of scalars by dotted key, as on the command line.

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
    """Check that something is continued with the configuration that it was started with.

    Args:
        where: what is continued; the message starts with it.
        begun, now: both configurations, as in `flatten_config`.
        otherwise: the alternative that the message offers.

    Raises:
        InputError: the two differ; names the first key.
    """
    before, after = flatten_config(begun), flatten_config(now)
    for key in sorted(before.keys() | after.keys()):
        if before.get(key) != after.get(key):
            raise InputError(
                f"{where}: was started with {key}={before.get(key)}, not {after.get(key)}: repeat the choices that it "
                f"was started with, or {otherwise}"
            )
