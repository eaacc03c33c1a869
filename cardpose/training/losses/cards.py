"""What a count pays, by name (`loss.card_loss`).

mse       squared error
l1        absolute error: a frame that is far off pulls no harder than one that is a little off
huber     squared up to two cards, from there on straight
relative  beside what can be known of a packet of that size: squared within, straight beyond

Each takes predicted counts (B,), 52 = 1, and true ones (B,) in cards, NaN left out, is 0 for perfect ones, and 1 for
the best constant over the counts 1 to 52.

Adding a new loss: such a function, and its name in `CARD_LOSSES`.
"""

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional as F

from cardpose.common.packet import CARDS_PER_DECK
from cardpose.models.counts import mean_of_known

HUBER_CARDS = 2.0
"""What a frame is off by when all goes well; an error far beyond it says that something was not seen."""
KNOWABLE_CARDS, KNOWABLE_SHARE = 1.0, 0.05
"""What a packet's thickness says of its count: to a card, and to the 5 % by which cards differ from deck to deck."""


def knowable(cards: Tensor) -> Tensor:
    """To how many cards (standard deviation) a packet of `cards` can be known from its thickness.

    >>> knowable(torch.tensor([0.0, 52.0])).round(decimals=2)
    tensor([1.0000, 2.7900])
    """
    return (KNOWABLE_CARDS**2 + (KNOWABLE_SHARE * cards).square()).sqrt()


def card_mse(predicted: Tensor, cards: Tensor) -> Tensor:
    """Squared error, over a uniform count's variance.

    >>> card_mse(torch.tensor([0.5, 0.9]), torch.tensor([26.0, float("nan")])).item()
    0.0
    """
    return 12 * mean_of_known(_error(predicted, cards).square(), cards)


def card_l1(predicted: Tensor, cards: Tensor) -> Tensor:
    """Absolute error, over a uniform count's mean distance from its middle."""
    return 4 * mean_of_known(_error(predicted, cards).abs(), cards)


def card_huber(predicted: Tensor, cards: Tensor) -> Tensor:
    """Huber 1964, Robust Estimation of a Location Parameter: squared up to `HUBER_CARDS`, then straight."""
    return mean_of_known(_huber(predicted, cards), cards) / _constant_pays(_huber)


def card_relative(predicted: Tensor, cards: Tensor) -> Tensor:
    """sqrt(1 + r^2) - 1 of the error r in units of `knowable`, of the true count: thick packets may be off by more.

    Source: Charbonnier et al. 1994, Two Deterministic Half-Quadratic Regularization Algorithms for Computed Imaging.
    """
    return mean_of_known(_relative(predicted, cards), cards) / _constant_pays(_relative)


CARD_LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "mse": card_mse,
    "l1": card_l1,
    "huber": card_huber,
    "relative": card_relative,
}


def _error(predicted: Tensor, cards: Tensor) -> Tensor:
    """(B,) error, 52 = 1; 0 where the count is unknown, so that no NaN reaches a gradient."""
    return torch.where(cards.isnan(), 0.0, predicted - cards.nan_to_num() / CARDS_PER_DECK)


def _huber(predicted: Tensor, cards: Tensor) -> Tensor:
    error = _error(predicted, cards)
    return F.huber_loss(error, torch.zeros_like(error), reduction="none", delta=HUBER_CARDS / CARDS_PER_DECK)


def _relative(predicted: Tensor, cards: Tensor) -> Tensor:
    error = CARDS_PER_DECK * _error(predicted, cards) / knowable(cards.nan_to_num())
    return (1 + error.square()).sqrt() - 1


@cache
def _constant_pays(cost: Callable[[Tensor, Tensor], Tensor]) -> float:
    """What the best constant pays over the counts of a deck, found among tenths of a card."""
    counts = torch.arange(1.0, CARDS_PER_DECK + 1)
    return min(
        float(cost(torch.full_like(counts, x / 10 / CARDS_PER_DECK), counts).mean())
        for x in range(10 * CARDS_PER_DECK)
    )
