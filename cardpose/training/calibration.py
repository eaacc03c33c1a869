"""Calibration of a checkpoint's count, and of the camera's field of view, on packets of known counts.

A count is inferred from a thickness, so another deck or another camera shifts it for every packet alike. One clip (a
full deck is 52) shows about half of it; more clips, and more different ones, show it better.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

import numpy as np
import torch

from cardpose.common.errors import InputError
from cardpose.common.packet import CARDS_PER_DECK
from cardpose.evaluation.report.tables import Cell
from cardpose.geometry.box_fit import field_of_view
from cardpose.geometry.boxes import labelled
from cardpose.geometry.focal_length import estimate_focal
from cardpose.models import checkpoints, metadata
from cardpose.models.builder import build

CALIBRATION = "net.head.calibration"
PACKET_ERROR = 3.0
"""Cards by which the estimate of one packet is off for reasons of its own, standard deviation. Packets of one deck lie
more or less loosely: of the 39 published ones, boxes fitted to labelled corners are 2.6 cards off."""
SCALE_SPREAD, OFFSET_SPREAD = 0.08, 1.0
"""Standard deviations of scale and offset from deck to deck and camera to camera: cards are 0.26 to 0.34 mm thick."""


class Fit(NamedTuple):
    """cards = scale x cards + offset, from so many clips; the camera's view in degrees across, None if unknown."""

    scale: float
    offset: float
    clips: int
    field_of_view: float | None


def calibrate_counts(
    checkpoint: dict[str, Any],
    clips: Sequence[str],
    counts: Sequence[float] | np.ndarray,
    predicted: np.ndarray,
    view: float | None,
) -> Fit:
    """Change a checkpoint so that its estimates fit the counts of some clips.

    Args:
        checkpoint: as `checkpoints.read` returns it; it is changed.
        clips: names of the clips.
        counts, predicted: (N,) true counts and the checkpoint's estimates, in cards.
        view: the camera's field of view in degrees; None: unknown.

    Raises:
        InputError: the estimates fall as the counts grow.
    """
    described = checkpoint[checkpoints.KEY]
    scale, offset = fit_count(np.asarray(counts, float), predicted)
    # The estimates include an earlier calibration, so this one is applied after it.
    before = checkpoint["state_dict"][CALIBRATION]
    checkpoint["state_dict"][CALIBRATION] = scale * before + torch.tensor([0.0, offset / CARDS_PER_DECK])
    described["calibration"] = {
        "clips": list(clips),
        "scale": scale,
        "offset": offset,
        "field_of_view": view,
    }
    if interval := metadata.interval(described):
        described["interval"] = asdict(interval.rescaled(scale, offset))
    return Fit(scale, offset, len(counts), view)


def camera(config: Mapping[str, Any], clips: Sequence[str]) -> float | None:
    """The camera's field of view across the longer side of a frame, in degrees, from the clips' labelled corners.

    None where the boxes that fit them do not determine it (`estimate_focal`).
    """
    footage = build(config["data"]["read"], "data.read")(config["data"]["root"])
    focal = estimate_focal(*labelled([a for a in footage.annotations if a.video in clips]))
    return None if focal is None else round(field_of_view(focal), 2)


def per_video(rows: Sequence[Mapping[str, Cell]]) -> tuple[np.ndarray, np.ndarray]:
    """True counts (N,) and estimates (N,) of the videos, from the rows of videos.csv.

    Raises:
        InputError: a video without a count.
    """
    for row in rows:
        if np.isnan(float(row["cards"])):
            raise InputError(
                f"{row['video']}: its count is not known: fill in cards in videos.csv or leave it out of clips"
            )
    return np.array([row["cards"] for row in rows]), np.array([row["cards_predicted"] for row in rows])


def fit_count(counts: np.ndarray, predicted: np.ndarray) -> tuple[float, float]:
    """Scale and offset, in cards: the most likely ones, given the clips and what can be expected without them.

    A packet's own error is as large as the shift that is looked for, and a line through two such points could have
    any slope; so the fit is a ridge about no change (Bishop 2006, Pattern Recognition and Machine Learning, 3.3).
    The more clips, the less it holds back.

    >>> fit_count(np.array([52.0]), np.array([52.0]))
    (1.0, 0.0)
    >>> scale, offset = fit_count(np.array([52.0]), np.array([40.0]))
    >>> 46 < 40 * scale + offset < 48
    True

    Raises:
        InputError: the estimates fall as the counts grow.
    """
    rows = np.stack([predicted, np.ones_like(predicted)], axis=1) / PACKET_ERROR
    prior = np.diag([1 / SCALE_SPREAD, 1 / OFFSET_SPREAD])
    missing = np.concatenate([(counts - predicted) / PACKET_ERROR, [0.0, 0.0]])
    change = np.linalg.lstsq(np.concatenate([rows, prior]), missing, rcond=None)[0]
    scale, offset = float(1 + change[0]), float(change[1])
    if not scale > 0:
        raise InputError(
            f"clips: the estimates {predicted.round(1).tolist()} fall where the counts {counts.tolist()} grow: "
            "check the counts, or choose clips with a clear view of the packet"
        )
    return round(scale, 10), round(offset, 10)
