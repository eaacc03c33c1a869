"""Losses of the count: what knowing nothing and knowing all pays, and how each weighs an error."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from cardpose.common.packet import CARDS_PER_DECK
from cardpose.training.losses.cards import (
    CARD_LOSSES,
    HUBER_CARDS,
    card_huber,
    card_l1,
    card_mse,
    card_relative,
    knowable,
)

CardLoss = Callable[[Tensor, Tensor], Tensor]

every_loss = pytest.mark.parametrize("loss", CARD_LOSSES.values(), ids=CARD_LOSSES.keys())


def every_count() -> Tensor:
    return torch.arange(1.0, CARDS_PER_DECK + 1)


def of_error(loss: CardLoss, cards: float, error: float | Tensor) -> float:
    """What one frame of `cards` pays whose estimate is `error` cards too high."""
    return loss(torch.tensor([(cards + float(error)) / CARDS_PER_DECK]), torch.tensor([cards])).item()


@every_loss
def test_a_perfect_count_pays_nothing(loss: CardLoss) -> None:
    assert loss(every_count() / CARDS_PER_DECK, every_count()).item() == pytest.approx(0, abs=1e-9)


@every_loss
def test_the_best_constant_pays_1(loss: CardLoss) -> None:
    constants = torch.arange(0.0, CARDS_PER_DECK, 0.25) / CARDS_PER_DECK
    pays = torch.stack([loss(constant.expand(CARDS_PER_DECK), every_count()) for constant in constants])
    assert pays.min().item() == pytest.approx(1, abs=1e-3)


@every_loss
def test_frames_without_a_count_are_left_out(loss: CardLoss) -> None:
    cards = torch.tensor([5.0, torch.nan, 40.0, torch.nan])
    predicted = torch.rand(4, generator=torch.Generator().manual_seed(0)).requires_grad_()
    known = ~cards.isnan()
    pays = loss(predicted, cards)
    torch.testing.assert_close(pays, loss(predicted[known], cards[known]))
    pays.backward()
    assert predicted.grad is not None
    assert (predicted.grad[~known] == 0).all()
    assert (predicted.grad[known] != 0).all()


@every_loss
def test_a_batch_twice_over_pays_the_same(loss: CardLoss) -> None:
    cards = every_count()
    predicted = cards.flip(0) / CARDS_PER_DECK
    twice = loss(torch.cat([predicted, predicted]), torch.cat([cards, cards]))
    torch.testing.assert_close(twice, loss(predicted, cards))


@pytest.mark.parametrize("loss", [card_mse, card_l1, card_huber])
def test_an_error_costs_the_same_at_every_count(loss: CardLoss) -> None:
    assert of_error(loss, 3, 5.0) == pytest.approx(of_error(loss, 50, 5.0), rel=1e-4)


@pytest.mark.parametrize("times", [0.3, -1.0, 4.0])
def test_the_relative_loss_sees_an_error_beside_what_can_be_known(times: float) -> None:
    pays = [of_error(card_relative, n, times * knowable(torch.tensor(n))) for n in (1.0, 20.0, 52.0, 104.0)]
    assert pays == pytest.approx([pays[0]] * 4, rel=1e-3)


def test_an_error_of_a_card_costs_a_thin_packet_more() -> None:
    pays = [of_error(card_relative, n, 1.0) for n in (1.0, 13.0, 26.0, 52.0)]
    assert pays == sorted(pays, reverse=True)
    assert pays[0] > 3 * pays[-1]


def test_huber_is_squared_near_and_straight_far() -> None:
    near = of_error(card_huber, 20, 0.5 * HUBER_CARDS)
    assert of_error(card_huber, 20, HUBER_CARDS) == pytest.approx(4 * near, rel=1e-3)
    steps = [of_error(card_huber, 20, n * HUBER_CARDS) for n in (2, 3, 4)]
    assert steps[2] - steps[1] == pytest.approx(steps[1] - steps[0], rel=1e-3)


@pytest.mark.parametrize("loss", [card_l1, card_huber, card_relative])
def test_one_frame_far_off_weighs_less_than_in_the_squared_error(loss: CardLoss) -> None:
    def share(of: CardLoss) -> float:
        return of_error(of, 20, 20.0) / of_error(of, 20, 2.0)

    assert share(loss) < 0.3 * share(card_mse)
