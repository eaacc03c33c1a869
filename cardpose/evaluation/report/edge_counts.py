"""Edges of tested frames, counted in the source frames as `prediction.predictor.Predictor` does."""

from dataclasses import replace

import numpy as np
import torch

from cardpose.common.progress import ProgressBar
from cardpose.evaluation.metrics.frame_metrics import card_scores
from cardpose.evaluation.report.test_result import TestResult
from cardpose.fusion.clips import check_and_fit
from cardpose.fusion.edge_votes import LOOKED_AT, MIN_SIDE, choose_in_frame
from cardpose.fusion.videos import bound_scores
from cardpose.geometry.box_fit import focal_length


def count_edges(tested: TestResult, field_of_view: float | None = None) -> TestResult:
    """A test whose counts, and their scores, are those of thickness and edges; unchanged without a large frame.

    Args:
        field_of_view: of the camera in degrees, where the EXIF data of a photograph do not say; None: a phone's.

    Raises:
        InputError: the footage cannot be read.
    """
    frames = tested.frames
    sides = frames.dataset.source_size.max(1)
    large = [r for r in tested.results if r.flag in LOOKED_AT and sides[frames.row(r)] >= MIN_SIDE]
    if not large:
        return tested
    from cardpose.edges.counting import EdgeCounter

    counter = EdgeCounter.from_file()
    camera = focal_length(field_of_view)
    answers = {}
    with ProgressBar("edges", len(large)) as bar:
        for result, image in frames.sources(large):
            focal = frames.footage.focal(result.video, result.frame_index) or camera
            size = np.array([image.shape[1::-1]], float)
            seen = result.confidence[None], result.corners_predicted[None]
            edges = counter(image, check_and_fit(*seen, size, tested.fusion, focal)[1].box, focal)
            cards, method = choose_in_frame(result.cards_predicted, tested.interval, edges.vote)
            was = result.cards_predicted
            answers[id(result)] = replace(
                result, edges=edges, method=method, cards_predicted=cards, cards_by_thickness=was
            )
            bar.advance()
    answered = replace(tested, results=[answers.get(id(result), result) for result in tested.results])
    return replace(answered, metrics={**tested.metrics, **_scores(answered)})


def _scores(tested: TestResult) -> dict[str, float]:
    """The scores of the counts and of their intervals, by the keys of metrics.json."""
    frames = torch.tensor([(r.cards_predicted, r.cards) for r in tested.results], dtype=torch.double)
    columns = ("cards_predicted", "cards", "low", "high")
    videos = np.array([[float(row[name]) for name in columns] for row in tested.videos])
    cards, true, low, high = videos.T
    scores = card_scores(frames[:, 0], frames[:, 1], torch.tensor(cards), torch.tensor(true), tested.constant)
    intervals = bound_scores(true, low, high) if tested.interval else {}
    return {f"test/{name}": float(score) for name, score in (scores | intervals).items()}
