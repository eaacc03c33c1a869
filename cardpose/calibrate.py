"""Fit the count to packets of known counts, and find the camera's field of view.

`python -m cardpose.calibrate --help` teaches.

A count is read from a thickness, so another deck's cards or another camera shift it for every packet alike. One
clip (a full deck is 52) says how far; the more, and the more different, the better.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from cardpose.common.errors import InputError
from cardpose.common.files import replace_file, write_errors
from cardpose.common.hydra_entry import entry, forget_empty_run
from cardpose.common.packet import CARDS_PER_DECK
from cardpose.data.splits import explicit
from cardpose.evaluation.report.tables import Cell
from cardpose.geometry.box_fit import field_of_view
from cardpose.geometry.boxes import labelled
from cardpose.geometry.focal_length import estimate_focal
from cardpose.models import checkpoints
from cardpose.models.builder import build
from cardpose.training import testing as measure

CALIBRATION = "net.head.calibration"
PACKET_ERROR = 2.0
"""Cards by which the estimate of one packet is off for reasons of its own, standard deviation."""
SCALE_SPREAD, OFFSET_SPREAD = 0.15, 2.0
"""Standard deviations of scale and offset from deck to deck and camera to camera: cards are 0.27 to 0.33 mm thick."""


def calibrate(cfg: DictConfig) -> Path:
    """Write a copy of `cfg.ckpt` whose counts fit the clips `cfg.clips`.

    Args:
        cfg: conf/calibrate.yaml, composed.

    Returns:
        The copy's path.

    Raises:
        InputError: what the user can mend.
    """
    checkpoint = measure.read_checkpoint(cfg)
    if not cfg.clips:
        raise InputError("clips is empty: name one or more videos of known count, clips=[videos/a.mp4]")
    described = checkpoint[checkpoints.KEY]
    make_split = partial(explicit, subsets={"test": dict.fromkeys(cfg.clips, "all")}, name="clips")
    config = measure.merge(described["config"], cfg)
    measured = measure.run(config, str(cfg.ckpt), checkpoint, make_split)
    counts, predicted = per_video(measured.videos)
    scale, offset = fit_count(counts, predicted)
    # What is measured counts as an earlier calibration says, so that this one is laid on top.
    before = checkpoint["state_dict"][CALIBRATION]
    checkpoint["state_dict"][CALIBRATION] = scale * before + torch.tensor([0.0, offset / CARDS_PER_DECK])
    seen = camera(config, cfg.clips)
    described["calibration"] = {
        "clips": list(cfg.clips),
        "scale": scale,
        "offset": offset,
        "field_of_view": seen,
    }
    if interval := checkpoints.interval(described):
        described["interval"] = asdict(interval.rescaled(scale, offset))
    out = Path(cfg.out or Path(cfg.ckpt).with_name(f"{Path(cfg.ckpt).stem}_calibrated.ckpt"))
    with write_errors(out), replace_file(out) as temporary:
        torch.save(checkpoint, temporary)
    sees = "not told by these labels" if seen is None else f"{seen:.0f} degrees across"
    print(f"cards = {scale:.4f} x cards + {offset:.2f}, from {len(counts)} clips; the camera's view: {sees}")
    return out


def camera(config: Mapping[str, Any], clips: Sequence[str]) -> float | None:
    """Degrees across the longer side of its frames that the camera sees, by the clips' labelled corners.

    None where the boxes that fit them do not tell (`focal.estimate_focal`).
    """
    footage = build(config["data"]["read"], "data.read")(config["data"]["root"])
    focal = estimate_focal(*labelled([a for a in footage.annotations if a.video in clips]))
    return None if focal is None else round(field_of_view(focal), 2)


def per_video(rows: Sequence[Mapping[str, Cell]]) -> tuple[np.ndarray, np.ndarray]:
    """True counts and estimates of the videos, from the rows of videos.csv.

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
    >>> 50 < 40 * scale + offset < 52
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


@entry("calibrate")
def main(cfg: DictConfig) -> None:
    print(calibrate(cfg))
    forget_empty_run(Path(HydraConfig.get().runtime.output_dir))


if __name__ == "__main__":
    main()
