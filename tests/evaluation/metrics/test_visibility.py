"""Visibility against plain loops, and the reliability of its probability."""

import numpy as np
import pytest
import torch
from torch import Tensor

from cardpose.evaluation.metrics.visibility import BINS, reliability, visibility_scores


def make_frames(frames: int = 40) -> tuple[Tensor, Tensor]:
    """Probabilities and labels that know nothing of each other."""
    generator = torch.Generator().manual_seed(0)
    probability = torch.rand(frames, 8, generator=generator, dtype=torch.float64)
    return probability, torch.randint(0, 3, (frames, 8), generator=generator)


def test_scores_equal_a_plain_loop() -> None:
    probability, visibility = make_frames()
    visible = (visibility == 2).flatten().tolist()
    pairs = list(zip(probability.flatten().tolist(), visible, strict=True))
    hits = sum(p > 0.5 and v for p, v in pairs)
    f1 = 2 * hits / (sum(p > 0.5 for p, _ in pairs) + sum(visible))
    ranked = [p > q for p, v in pairs if v for q, w in pairs if not w]
    got = visibility_scores(probability, visibility)
    assert got["visibility_accuracy"] == pytest.approx(np.mean([(p > 0.5) == v for p, v in pairs]))
    assert got["visibility_f1"] == pytest.approx(f1)
    assert got["visibility_auroc"] == pytest.approx(np.mean(ranked))
    bins: dict[int, list[float]] = {}
    for p, v in pairs:
        bins.setdefault(int(p * BINS), []).append(p - v)
    error = sum(abs(sum(gaps)) for gaps in bins.values()) / len(pairs)
    assert got["visibility_ece"] == pytest.approx(error)


@pytest.mark.parametrize(("visibility", "f1", "ece"), [(1, 1.0, 0.2), (2, 0.0, 0.8)])
def test_visibility_of_one_kind_only(visibility: int, f1: float, ece: float) -> None:
    scores = visibility_scores(torch.full((2, 8), 0.2), torch.full((2, 8), visibility))
    assert scores["visibility_f1"] == f1
    assert scores["visibility_auroc"].isnan()
    assert scores["visibility_ece"] == pytest.approx(ece)


def test_a_probability_that_is_nan_is_not_hidden() -> None:
    probability, visibility = make_frames()
    probability[0, 0] = torch.nan
    scores = visibility_scores(probability, visibility)
    assert scores["visibility_auroc"].isnan()
    assert scores["visibility_ece"].isnan()
    assert reliability(probability.numpy(), visibility.numpy()).count.sum() == probability.numel() - 1


def test_the_diagram_shows_the_error_that_is_reported() -> None:
    probability, visibility = make_frames()
    bins = reliability(probability.numpy(), visibility.numpy())
    error = (bins.count * np.abs(bins.share - bins.probability)).sum() / bins.count.sum()
    assert error == pytest.approx(float(visibility_scores(probability, visibility)["visibility_ece"]))


def test_a_probability_that_comes_true_as_often_as_stated_lies_on_the_diagonal() -> None:
    random = np.random.default_rng(0)
    probability = random.random((5000, 8))
    visible = random.random(probability.shape) < probability
    bins = reliability(probability, np.where(visible, 2, 1))
    assert len(bins.count) == BINS
    np.testing.assert_allclose(bins.share, bins.probability, atol=0.03)
    doubtful = reliability(probability / 2 + 0.25, np.where(visible, 2, 1))  # too careful
    assert doubtful.share[0] < doubtful.probability[0] - 0.1
    assert doubtful.share[-1] > doubtful.probability[-1] + 0.1


def test_certainty_falls_into_the_last_bin() -> None:
    bins = reliability(np.array([[1.0, 0.0]]), np.array([[2, 0]]))
    assert (bins.count.tolist(), bins.share.tolist()) == ([1, 1], [0, 1])
