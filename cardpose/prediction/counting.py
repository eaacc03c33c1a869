"""Counts of clips in one call, without files: what a calibration without labels is fitted to."""

from collections.abc import Sequence

import numpy as np

from cardpose.common.errors import InputError
from cardpose.common.progress import ProgressBar, total_frames
from cardpose.fusion.clips import fuse
from cardpose.prediction.pipeline import compute, read
from cardpose.prediction.predictor import BATCH_SIZE, Predictor
from cardpose.prediction.sources import find_sources


def estimate_counts(predictor: Predictor, clips: Sequence[str]) -> np.ndarray:
    """The model's counts (N,) of clips, in cards.

    Raises:
        InputError: a clip cannot be read, holds several clips, or shows no packet.
    """
    return np.array([_estimate_count(predictor, clip) for clip in clips])


def _estimate_count(predictor: Predictor, clip: str) -> float:
    sources, problems, _ = find_sources([clip], ())
    if problems or len(sources) != 1:
        raise InputError(problems[0] if problems else f"{clip}: holds {len(sources)} clips: name one clip")
    failed: list[str] = []
    cards, cards_std, flags = [], [], []
    with ProgressBar(f"counting {clip}", lambda: total_frames(sources)) as bar:
        for batch in compute(read(sources, predictor, BATCH_SIZE, False, failed.append), predictor):
            for _, found in batch:
                cards.append(found.cards)
                cards_std.append(found.cards_std)
                flags.append(found.flag)
                bar.advance()
    if failed:
        raise InputError(failed[0])
    counted = fuse(np.array(cards), np.array(cards_std), np.array(flags), predictor.fusion)
    if not counted.frames_used:
        raise InputError(f"{clip}: no packet found: film it nearer, with the whole packet in view")
    return counted.cards
