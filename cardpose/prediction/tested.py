"""Tested frames, predicted from the source frame wherever `Predictor` looks at that: at small packets and at edges."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cardpose.common.progress import ProgressBar
from cardpose.evaluation.metrics.frame_metrics import (
    card_scores,
    corner_errors,
    corner_scores,
    thickness_errors,
    thickness_scores,
)
from cardpose.evaluation.metrics.results import FrameResult
from cardpose.evaluation.metrics.visibility import visibility_scores
from cardpose.evaluation.report.test_result import TestResult
from cardpose.fusion.clips import Flag
from cardpose.fusion.videos import bound_scores
from cardpose.prediction.predictor import Predictor, choose_device
from cardpose.prediction.records import FrameItem
from cardpose.prediction.second_look import filled
from cardpose.prediction.torch_backend import TorchBackend


def predictor_of(config: Mapping[str, Any], path: str | Path, accelerator: str) -> Predictor:
    """The predictor of a tested checkpoint.

    Args:
        config: that it is tested with, in place of its own.
        path: of the checkpoint.
        accelerator: "auto", "cpu" or "gpu".

    Raises:
        InputError: no such device.
    """
    return Predictor(TorchBackend(path, choose_device(accelerator), config))


def predict_from_sources(tested: TestResult, predictor: Predictor) -> TestResult:
    """A test whose frames, and their scores, are as `predictor` predicts them; unchanged if it needs no source frame.

    Args:
        predictor: of the tested network.

    Raises:
        InputError: the footage cannot be read.
    """
    frames = tested.frames
    needed = [result for result in tested.results if _needs_source(result, tested, predictor)]
    if not needed:
        return tested
    answers = {}
    with ProgressBar("source frames", len(needed)) as bar:
        for result, image in frames.sources(needed):
            focal = frames.footage.focal(result.video, result.frame_index)
            answers[id(result)] = _predicted(
                result, replace(predictor.prepare(image), focal=focal), predictor
            )
            bar.advance()
    answered = replace(tested, results=[answers.get(id(result), result) for result in tested.results])
    return replace(answered, metrics={**tested.metrics, **_scores(answered)})


def _needs_source(result: FrameResult, tested: TestResult, predictor: Predictor) -> bool:
    """Whether the frame's edges are counted, or its packet may be small."""
    width, height = (int(side) for side in tested.frames.dataset.source_size[tested.frames.row(result)])
    if predictor.counts_edges(width, height, Flag(result.flag)):
        return True
    # The corners that were found fill no more than the whole box, which decides.
    found = result.corners_predicted[result.confidence > tested.fusion.found]
    small = result.flag == Flag.GOOD and tested.fusion.second_look > 0
    return small and filled(found, (width, height), predictor.backend.size) < tested.fusion.second_look


def _predicted(result: FrameResult, item: FrameItem, predictor: Predictor) -> FrameResult:
    """The frame with its prediction in place of that of the test."""
    ((seen, box),) = predictor.look([item])
    final = predictor.with_edges(item, seen, box)
    label = torch.from_numpy(result.corners)[None], torch.from_numpy(result.visibility)[None]
    corners = torch.from_numpy(seen.corners)[None]
    return replace(
        result,
        cards_predicted=final.cards,
        cards_std=seen.cards_std,
        flag=int(seen.flag),
        corners_predicted=seen.corners,
        confidence=seen.confidence,
        visible_probability=seen.visibility,
        corner_px=corner_errors(corners, *label)[0].numpy(),
        thickness_px=thickness_errors(corners, *label)[0].numpy(),
        edges=final.edges,
        method=final.method,
        cards_by_thickness=seen.cards if final.edges else result.cards_by_thickness,
    )


def _scores(tested: TestResult) -> dict[str, float]:
    """The scores of all frames and videos, by the keys of metrics.json."""
    frames = torch.tensor([(r.cards_predicted, r.cards) for r in tested.results], dtype=torch.double)
    columns = ("cards_predicted", "cards", "low", "high")
    videos = np.array([[float(row[name]) for name in columns] for row in tested.videos])
    cards, true, low, high = videos.T
    names = ("corners_predicted", "corners", "visibility", "visible_probability")
    parts = (torch.from_numpy(np.stack([getattr(r, name) for r in tested.results])) for name in names)
    predicted, corners, visibility, probability = parts
    scores: dict[str, Tensor | float] = {
        **card_scores(frames[:, 0], frames[:, 1], torch.tensor(cards), torch.tensor(true), tested.constant),
        **corner_scores(predicted, corners, visibility),
        **thickness_scores(predicted, corners, visibility),
        **visibility_scores(probability, visibility),
        **(bound_scores(true, low, high) if tested.interval else {}),
    }
    return {f"test/{name}": float(score) for name, score in scores.items()}
