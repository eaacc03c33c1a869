"""Comparison of an exported file with PyTorch: differences of the outputs, scores and time."""

import math
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.table import Table
from torch import Tensor

from cardpose.common.packet import Batch, ModelOutput
from cardpose.common.scores import score_of
from cardpose.deploy.graph import OUTPUTS
from cardpose.evaluation.metrics.frame_metrics import FrameMetrics
from cardpose.fusion.clips import Flag
from cardpose.fusion.settings import FusionConfig
from cardpose.fusion.videos import flag_frames
from cardpose.geometry.affine import apply_affine
from cardpose.geometry.box_fit import MIN_CORNERS

LIMITS = {"corners": 0.05, "cards": 0.02}
"""Pixels of the network's image, and cards, by which a float32 file may differ from PyTorch."""
LABELS = {"corners": "corners, network pixels", "cards": "cards", "cards_std": "standard deviation, cards"}
COUNTS = ("cards", "cards_std")
COMPARED = ("card_mae", "card_mae_video", "corner_px_median", "corner_px_mean", "pck_5", "visibility_f1")
Run = Callable[[np.ndarray], ModelOutput[np.ndarray]]
"""(B, H, W, 3) uint8 RGB -> the outputs: a backend."""
BATCH = 16
WARMUP, REPEATS = 5, 50


def compare(
    pytorch: Run, exported: Run, batch: Batch, fusion: FusionConfig, *, limited: bool
) -> dict[str, Any]:
    """The parity report, for JSON.

    Args:
        pytorch, exported: the network in PyTorch, float32, and the file, both opened within
            `threads.one_torch_thread`.
        batch: labelled frames, images uint8 as in `Sample`.
        limited: whether `LIMITS` hold for this file.

    Returns:
        `frames`, and `counted`, in how many of them counts are compared, see `_counted`; `difference` of each output,
        with `mean`, `p99` and `max` (corners: distances in pixels of the network's image); `limits` and
        `within_limits`, None where they do not hold; `scores` of both on the labels, corners in source pixels;
        `milliseconds` of a frame alone on one thread, and how many `times_as_fast` the file is.
    """
    images = np.ascontiguousarray(batch["image"].numpy().transpose(0, 2, 3, 1))
    outputs, expected = (_run(run, images) for run in (exported, pytorch))
    counted = _counted(expected, batch, fusion)
    difference = {
        name: _difference(*(values[counted] if name in COUNTS else values for values in both))
        for name, *both in zip(OUTPUTS, outputs, expected, strict=True)
    }
    within = all(difference[name]["max"] <= limit for name, limit in LIMITS.items())
    milliseconds = _milliseconds({"pytorch": pytorch, "exported": exported}, images[:1])
    return {
        "frames": len(images),
        "counted": int(counted.sum()),
        "difference": difference,
        "limits": LIMITS if limited else None,
        "within_limits": within if limited else None,
        "scores": {"pytorch": _scores(expected, batch, fusion), "exported": _scores(outputs, batch, fusion)},
        "milliseconds": milliseconds,
        "times_as_fast": milliseconds["pytorch"] / milliseconds["exported"],
    }


def _counted(expected: ModelOutput[np.ndarray], batch: Batch, fusion: FusionConfig) -> np.ndarray:
    """(B,) the frames whose corners fix a box, in which counts are compared; all frames if there is none.

    Pose and thickness are seven numbers, and four corners give eight: rounding alone then moves the count.
    """
    good = flag_frames(_in_source(expected, batch), batch, fusion) == Flag.GOOD
    fixed = good & ((expected.confidence > fusion.found).sum(1) > MIN_CORNERS)
    return fixed if fixed.any() else np.ones_like(fixed)


def _run(run: Run, images: np.ndarray) -> ModelOutput[np.ndarray]:
    parts = [run(images[i : i + BATCH]) for i in range(0, len(images), BATCH)]
    return ModelOutput(*map(np.concatenate, zip(*parts, strict=True)))


def _difference(output: np.ndarray, expected: np.ndarray) -> dict[str, float]:
    """Mean, 99th percentile and maximum; two NaN differ by 0, one NaN by infinity."""
    away = np.abs(output - expected)
    away[np.isnan(output) & np.isnan(expected)] = 0.0
    away = np.where(np.isnan(away), np.inf, away)
    if away.ndim == 3:  # corners
        away = np.hypot(away[..., 0], away[..., 1])
    return {"mean": float(away.mean()), "p99": float(np.quantile(away, 0.99)), "max": float(away.max())}


def _scores(output: ModelOutput[np.ndarray], batch: Batch, fusion: FusionConfig) -> dict[str, float | None]:
    """`COMPARED` on the labels; None where the frames have no such label."""
    prediction = _in_source(output, batch)
    metrics = FrameMetrics(math.nan, fusion)
    metrics.update(prediction, batch, flag_frames(prediction, batch, fusion))
    scores = {name: float(value) for name, value in metrics.compute().items()}
    return {name: None if math.isnan(scores[name]) else scores[name] for name in COMPARED}


def _in_source(output: ModelOutput[np.ndarray], batch: Batch) -> ModelOutput[Tensor]:
    """The outputs as tensors, corners in source pixels."""
    tensors: ModelOutput[Tensor] = ModelOutput(*map(torch.from_numpy, output))
    return tensors._replace(corners=apply_affine(batch["to_source"], tensors.corners))


def _milliseconds(runs: Mapping[str, Run], image: np.ndarray) -> dict[str, float]:
    """Median of each for one frame (1, H, W, 3); the runs alternate, so other load on the machine slows both."""
    timings: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(WARMUP + REPEATS):
        for name, run in runs.items():
            start = time.perf_counter()
            run(image)
            timings[name].append(1000 * (time.perf_counter() - start))
    return {name: statistics.median(times[WARMUP:]) for name, times in timings.items()}


def report_path(file: Path) -> Path:
    """Where the report of an exported file lies.

    >>> str(report_path(Path("a/model.onnx")))
    'a/model.onnx.parity.json'
    """
    return file.with_name(f"{file.name}.parity.json")


def tables(report: Mapping[str, Any]) -> tuple[Table, Table]:
    """The report for a terminal: differences from PyTorch; scores and time of both."""
    differences = Table(
        title=f"{report['frames']} frames, the count in {report['counted']}, against PyTorch in float32",
        title_justify="left",
    )
    scores = Table()
    for table, headers in (
        (differences, ("", "mean", "99 %", "max", "limit")),
        (scores, ("", "PyTorch", "exported", "change")),
    ):
        for header in headers:
            table.add_column(header, justify="right" if header else "left")
    for name, away in report["difference"].items():
        limit = (report["limits"] or {}).get(name, "")
        differences.add_row(LABELS.get(name, name), *(f"{away[key]:.4f}" for key in away), str(limit))
    for name in COMPARED:
        before, after = (report["scores"][kind][name] for kind in ("pytorch", "exported"))
        if before is not None and after is not None:
            scores.add_row(score_of(name).title, f"{before:.3f}", f"{after:.3f}", f"{after - before:+.3f}")
    times = (f"{report['milliseconds'][kind]:.1f}" for kind in ("pytorch", "exported"))
    scores.add_row("ms a frame, one thread", *times, f"{report['times_as_fast']:.2f} times as fast")
    return differences, scores
