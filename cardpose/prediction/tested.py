"""Tested frames, predicted from the source frame wherever `Predictor` looks at that: at small packets and at edges."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import islice
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
from cardpose.fusion.videos import bound_scores
from cardpose.prediction.predictor import BATCH_SIZE, Predictor, choose_device, has_edges
from cardpose.prediction.records import Prediction
from cardpose.prediction.second_look import is_small
from cardpose.prediction.torch_backend import TorchBackend


def predict_from_sources(
    tested: TestResult, config: Mapping[str, Any], path: Path, accelerator: str
) -> TestResult:
    """A tested checkpoint's frames and scores as a `Predictor` predicts them; unchanged if it needs no source frame.

    The losses stay those of the test, whose frames were looked at once.

    Args:
        config: configuration of the test.
        path: of the checkpoint.
        accelerator: "auto", "cpu" or "gpu".

    Raises:
        InputError: the footage cannot be read, or there is no such device.
    """
    device = choose_device(accelerator)
    return predict_again(tested, lambda: Predictor(TorchBackend(path, device, config)))


def predict_again(tested: TestResult, make_predictor: Callable[[], Predictor]) -> TestResult:
    """See `predict_from_sources`; `make_predictor` is called only if a source frame is needed."""
    frames = tested.frames
    needed = [result for result in tested.results if _needs_source(result, tested)]
    if not needed:
        return tested
    predictor, answers, sources = make_predictor(), {}, frames.sources(needed)
    with ProgressBar("source frames", len(needed)) as bar:
        while batch := list(islice(sources, BATCH_SIZE)):
            focals = [frames.footage.focal(result.video, result.frame_index) for result, _ in batch]
            items = [predictor.prepare(image, focal) for (_, image), focal in zip(batch, focals, strict=True)]
            for (result, _), item, seen in zip(batch, items, predictor.look(items), strict=True):
                answers[id(result)] = _predicted(result, seen[0], predictor.with_edges(item, *seen))
            bar.advance(len(batch))
    answered = replace(tested, results=[answers.get(id(result), result) for result in tested.results])
    return replace(answered, metrics={**tested.metrics, **_scores(answered)})


def _needs_source(result: FrameResult, tested: TestResult) -> bool:
    """Whether the frame's edges are counted, or its packet may be small."""
    row = tested.frames.row(result)
    width, height = (int(side) for side in tested.frames.dataset.source_size[row])
    # The corners that were found fill no more than the whole box, which decides.
    found = result.corners_predicted[result.confidence > tested.fusion.found]
    size = tested.frames.image(result).shape[:2]
    small = len(found) > 0 and is_small(result.flag, found, (width, height), size, tested.fusion)
    return small or has_edges(width, height, result.flag)


def _predicted(result: FrameResult, seen: Prediction, final: Prediction) -> FrameResult:
    """The frame with its prediction in place of that of the test: `seen` without edges, `final` with them."""
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
