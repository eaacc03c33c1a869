"""Count heads: from the head's raw numbers to a count and its standard deviation (conf/count_head).

Regression    the count itself; no standard deviation
Distribution  a probability for each count from 0 to 104 (two decks); its mean is the count

Both are built around one centre, which is what a regression would predict: the model adds a linear path from the
heatmap features to it (`CountVisibilityHead.straight`). A distribution has no free logit for each count. Free logits
would learn which counts occur in the training videos (one count a video, a few dozen in all) and rule out the others;
relative to a centre, what the model learns at one count holds at every other.

Adding a new count head: subclass `CountHead` here, and add a file to conf/count_head that names the class as
`_target_`. Test it in tests/models/test_counts.py by adding it to `EVERY_HEAD`.
"""

import math
from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cardpose.common.errors import InputError
from cardpose.common.packet import CARDS_PER_DECK, MAX_CARDS

COMPONENTS = 3
"""Components of the mixture: enough for skew, heavy tails, or two counts that look alike."""
INITIAL_STD = CARDS_PER_DECK / math.sqrt(12)
"""Initial width of a component, in cards: the standard deviation of a uniform count."""
MIN_STD = 0.1
"""Lower bound of a component's width, in cards; below it one count would take all the probability."""


class Count(NamedTuple):
    """A batch of estimated counts.

    Args:
        cards: (B,) count divided by 52.
        cards_std: (B,) standard deviation of `cards`; NaN if the head does not estimate it.
        logits: (B, N) input of `CountHead.loss`; N is 0 if there is no distribution.
    """

    cards: Tensor
    cards_std: Tensor
    logits: Tensor


class CountHead(nn.Module, ABC):
    """Turns a centre and `size` further numbers into a count, and gives the loss of its distribution."""

    size: int

    @abstractmethod
    def forward(self, centre: Tensor, numbers: Tensor) -> Count:
        """Count from the centre (B,), in decks of 52, and the numbers (B, size), both float32."""

    @abstractmethod
    def loss(self, logits: Tensor, cards: Tensor) -> Tensor:
        """Loss of the logits (B, N) for cards (B,), ignoring NaN: 0 if perfect, 1 for a uniform prediction."""


class Regression(CountHead):
    """The centre is the count."""

    size = 0

    def forward(self, centre: Tensor, numbers: Tensor) -> Count:
        return Count(centre, torch.full_like(centre, torch.nan), numbers)

    def loss(self, logits: Tensor, cards: Tensor) -> Tensor:
        return logits.new_zeros(())


class Distribution(CountHead):
    """A mixture of `COMPONENTS` normal distributions around the centre, evaluated at the counts 0 to 104.

    The numbers are each component's weight, its distance from the centre in units of its width, and its width. The
    loss is the Kullback-Leibler divergence from `soft_labels`; a perfect one has a standard deviation near `sigma`.
    The gradient at the centre is the error of the mean over the variance: that of a squared error, but weaker on
    ambiguous frames.

    Sources: Bishop 1994, Mixture Density Networks, for the mixture; Gao et al. 2018, Age Estimation Using Expectation
    of Label Distribution Learning, IJCAI, for soft labels and, with `loss.cards`, a loss of the mean beside them.

    Args:
        sigma: standard deviation of the soft labels, in cards.

    Raises:
        InputError: `sigma` is not a number above 0.
    """

    size = 3 * COMPONENTS

    def __init__(self, sigma: float) -> None:
        super().__init__()
        if not (isinstance(sigma, int | float) and sigma > 0):
            raise InputError(f"count_head.sigma={sigma}: choose a number above 0")
        self.sigma = sigma
        with torch.device(
            "cpu"
        ):  # a number is needed also where a network is built without storage, on "meta"
            labels = soft_labels(_deck(), sigma)
            self.normaliser = float(_divergence(labels.mean(0).clamp_min(1e-30).log(), labels).mean())

    def forward(self, centre: Tensor, numbers: Tensor) -> Count:
        weight, shift, width = numbers.unflatten(1, (3, COMPONENTS)).unsqueeze(-1).unbind(1)  # (B, 3, 1) each
        width = INITIAL_STD * _positive(width) + MIN_STD
        # Log density of each component at each count, then of the mixture.
        deviation = (_counts(centre) - CARDS_PER_DECK * centre[:, None, None]) / width - shift  # (B, 3, 105)
        components = weight.log_softmax(1) - width.log() - deviation.square() / 2
        logits = components.logsumexp(1).log_softmax(1)
        return Count(*_moments(logits.exp()), logits)

    def loss(self, logits: Tensor, cards: Tensor) -> Tensor:
        divergence = _divergence(logits.log_softmax(1), soft_labels(cards.nan_to_num(), self.sigma))
        return mean_of_known(divergence, cards) / self.normaliser


def mean_of_known(values: Tensor, cards: Tensor) -> Tensor:
    """Mean of the values (B,) over the frames whose count `cards` (B,) is not NaN; 0 if there is none.

    >>> mean_of_known(torch.tensor([3.0, 5.0]), torch.tensor([26.0, float("nan")])).item()
    3.0
    """
    known = ~cards.isnan()
    return torch.where(known, values, 0.0).sum() / known.sum().clamp_min(1)


def soft_labels(cards: Tensor, sigma: float) -> Tensor:
    """Probabilities (B, 105) of the counts 0 to 104: a normal distribution around each count (B,).

    Near 0 and 104 it is truncated on both sides, so that its mean stays the count. A count between two whole ones (of a
    teacher, see `cardpose.training.callbacks.distillation`) has the weighted mean of their probabilities.

    >>> soft_labels(torch.tensor([1.0, 0.5]), sigma=1.0)[:, :4].round(decimals=2)
    tensor([[0.2700, 0.4500, 0.2700, 0.0000],
            [0.6400, 0.2300, 0.1400, 0.0000]])
    """
    whole = cards.floor()
    above = _around((whole + 1).clamp_max(MAX_CARDS), sigma)
    return _around(whole, sigma).lerp(above, (cards - whole).unsqueeze(1))


def _around(cards: Tensor, sigma: float) -> Tensor:
    """`soft_labels` of whole counts."""
    cards = cards.unsqueeze(1)
    distance = _counts(cards) - cards
    half_width = torch.minimum(cards, MAX_CARDS - cards)
    density = torch.where(distance.abs() <= half_width, torch.exp(-0.5 * (distance / sigma) ** 2), 0.0)
    return density / density.sum(1, keepdim=True)


def _counts(like: Tensor) -> Tensor:
    """The counts 0 to 104 (105,), on the device of `like`."""
    return torch.arange(MAX_CARDS + 1, dtype=torch.float32, device=like.device)


def _deck() -> Tensor:
    """The counts 1 to 52, equally likely without any information."""
    return torch.arange(1, CARDS_PER_DECK + 1, dtype=torch.float32)


def _positive(number: Tensor) -> Tensor:
    """Softplus, shifted so that 0 gives 1."""
    return F.softplus(number + math.log(math.e - 1))


def _divergence(log_probabilities: Tensor, labels: Tensor) -> Tensor:
    """Kullback-Leibler divergence (B,) of log probabilities (B, 105) or (105,) from labels (B, 105)."""
    return F.kl_div(log_probabilities.expand_as(labels), labels, reduction="none").sum(1)


def _moments(probabilities: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation (B,), in decks of 52, of probabilities (B, 105)."""
    counts = _counts(probabilities)
    mean = (probabilities * counts).sum(1)
    variance = (probabilities * (counts - mean.unsqueeze(1)).square()).sum(1)
    return mean / CARDS_PER_DECK, variance.clamp_min(1e-12).sqrt() / CARDS_PER_DECK
