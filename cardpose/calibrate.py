"""Fit the count's scale and offset to packets of known counts. `python -m cardpose.calibrate --help` teaches.

A count is read from a thickness, so another deck's cards or another camera shift it for every packet alike. One
clip (a full deck is 52) gives the scale; two or more give the offset too.
"""

from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from cardpose import checkpoints, measure
from cardpose.cli import entry, forget_empty_run
from cardpose.data.files import replace_file, write_errors
from cardpose.data.splits import explicit
from cardpose.errors import InputError
from cardpose.packet import MAX_CARDS
from cardpose.results import FrameResult

CALIBRATION = "net.head.calibration"


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
    make_split = partial(explicit, sides={"test": dict.fromkeys(cfg.clips, "all")}, name="clips")
    measured = measure.run(measure.merge(described["config"], cfg), checkpoint, make_split)
    counts, predicted = per_video(measured.results)
    scale, offset = fit_count(counts, predicted)
    before = checkpoint["state_dict"][
        CALIBRATION
    ]  # of an earlier calibration, on which this one was measured
    checkpoint["state_dict"][CALIBRATION] = scale * before + torch.tensor([0.0, offset / MAX_CARDS])
    described["calibration"] = {"clips": list(cfg.clips), "scale": scale, "offset": offset}
    out = Path(cfg.out or Path(cfg.ckpt).with_name(f"{Path(cfg.ckpt).stem}_calibrated.ckpt"))
    with write_errors(out), replace_file(out) as temporary:
        torch.save(checkpoint, temporary)
    print(f"cards = {scale:.4f} x cards + {offset:.2f}, from {len(counts)} clips")
    return out


def per_video(results: Sequence[FrameResult]) -> tuple[np.ndarray, np.ndarray]:
    """True counts and the medians of the estimates, one each a video.

    Raises:
        InputError: a video without a count.
    """
    frames: dict[str, list[FrameResult]] = defaultdict(list)
    for result in results:
        frames[result.video].append(result)
    for video, of_video in frames.items():
        if np.isnan(of_video[0].cards):
            raise InputError(
                f"{video}: its count is not known: fill in cards in videos.csv or leave it out of clips"
            )
    counts = np.array([of_video[0].cards for of_video in frames.values()])
    return counts, np.array([np.median([r.cards_predicted for r in f]) for f in frames.values()])


def fit_count(counts: np.ndarray, predicted: np.ndarray) -> tuple[float, float]:
    """Scale and offset, in cards, by least squares; of a single clip, or of clips of one count, the scale alone.

    >>> fit_count(np.array([10.0, 50.0]), np.array([7.0, 27.0]))
    (2.0, -4.0)
    >>> fit_count(np.array([52.0]), np.array([40.0]))
    (1.3, 0.0)

    Raises:
        InputError: the estimates do not grow with the counts.
    """
    if np.ptp(counts) == 0:
        scale, offset = counts.mean() / predicted.mean(), 0.0
    else:
        scale = np.cov(predicted, counts, bias=True)[0, 1] / predicted.var()
        offset = counts.mean() - scale * predicted.mean()
    if not (np.isfinite(scale) and scale > 0):
        raise InputError(
            f"clips: the estimates {predicted.round(1).tolist()} do not grow with the counts {counts.tolist()}: "
            "check the counts, or choose clips with a clear view of the packet"
        )
    return round(float(scale), 10), round(float(offset), 10)


@entry("calibrate")
def main(cfg: DictConfig) -> None:
    print(calibrate(cfg))
    forget_empty_run(Path(HydraConfig.get().runtime.output_dir))


if __name__ == "__main__":
    main()
