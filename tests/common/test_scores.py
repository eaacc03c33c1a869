"""One table of scores: it has a row for everything that is computed, and says which of two values is better."""

import math

import pytest
import torch

from cardpose.common.scores import SCORES, every_score, score_of
from cardpose.evaluation.metrics.frame_metrics import card_scores, corner_scores, thickness_scores
from cardpose.evaluation.metrics.visibility import visibility_scores


def test_every_computed_score_has_a_row() -> None:
    corners, visibility, cards = torch.rand(2, 8, 2), torch.full((2, 8), 2), torch.tensor([3.0, 4.0])
    computed = {
        **card_scores(cards, cards, cards, cards, constant=3.5),
        **corner_scores(corners, corners, visibility),
        **thickness_scores(corners, corners, visibility),
        **visibility_scores(torch.rand(2, 8), visibility),
        "interval_coverage": 0.9,
        "interval_width": 5.0,
    }
    for key, value in computed.items():
        assert score_of(f"test/{key}").text(float(value)) or math.isnan(value)
    assert {score.key for score in every_score()} <= computed.keys()
    assert len({score_of(key).title for key in computed}) == len(computed)


@pytest.mark.parametrize("key", ["loss", "loss_cards", "card_mae_test", "pck_5_video"])
def test_what_is_no_score_is_not_found(key: str) -> None:
    with pytest.raises(KeyError):
        score_of(f"val/{key}")


@pytest.mark.parametrize(
    "key", ["card_within_1", "card_within_2_video", "pck_5", "visibility_f1", "visibility_auroc"]
)
def test_of_shares_the_larger_is_better(key: str) -> None:
    assert score_of(key).better_of(0.5, 0.6) == "b"


@pytest.mark.parametrize("key", ["card_rmse_video", "corner_px_mean", "thickness_px_mae", "visibility_ece"])
def test_of_errors_the_smaller_is_better(key: str) -> None:
    assert score_of(key).better_of(0.5, 0.6) == "a"


@pytest.mark.parametrize(("a", "b", "better"), [(-1.0, 0.5, "b"), (-1.0, 1.0, ""), (0.2, -3.0, "a")])
def test_a_bias_is_better_closer_to_0(a: float, b: float, better: str) -> None:
    assert SCORES["thickness_px_bias"].better_of(a, b) == better


@pytest.mark.parametrize("key", ["interval_coverage", "interval_width"])
def test_no_interval_is_better_for_being_wide(key: str) -> None:
    assert SCORES[key].better_of(0.5, 0.6) == ""


def test_unknown_values_are_empty_and_never_better() -> None:
    score = SCORES["card_mae"]
    assert score.text(math.nan) == score.difference(math.nan) == score.better_of(math.nan, 1.0) == ""
    assert score.difference(-0.001) == "+0.00"
    assert score.sentence(1.5) == "card error (MAE) 1.50 cards"
