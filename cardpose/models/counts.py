"""How a count is read from the head's numbers, and what a distribution over the counts pays (conf/count_head).

Regression    the number itself; it tells no spread
Distribution  a probability for each count, trained with soft labels
Ordinal       for each count the probability that there are more cards than that

The last two are read as their mean, and their spread is the standard deviation. The counts are 0 to 104, all that a
label may say (two decks), so that no choice of range can cut a packet off.

All three are built about one centre, the count of a regression, to which a linear path leads from what the heatmaps
say (`head.straight`), and none has a free number for each count. Such logits would learn *which* counts the training
footage has (one a video, a few dozen of them), and deny those that it lacks; about a centre, what is learned at one
count holds at every other.

Adding a new one: a `CountHead`, and its file in conf/count.
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
"""Of the mixture: enough for a skew, heavy tails, or two packets that look alike."""
START = CARDS_PER_DECK / math.sqrt(12)
"""Standard deviation in cards of who knows nothing: a uniform count's."""
FINEST = 0.1
"""Cards; no width falls below it, where the nearest count would have all the probability."""


class Count(NamedTuple):
    """A count as it is read.

    Args:
        cards: (B,) count divided by 52.
        cards_std: (B,) standard deviation of `cards`; NaN where it is not told.
        logits: (B, N) what `CountHead.loss` takes; N is 0 where there is no distribution.
    """

    cards: Tensor
    cards_std: Tensor
    logits: Tensor


class CountHead(nn.Module, ABC):
    """From a centre and `size` numbers more to a count, and what its distribution pays."""

    size: int

    @abstractmethod
    def forward(self, centre: Tensor, numbers: Tensor) -> Count:
        """Centre (B,), 52 = 1, and numbers (B, size), float32 both, to a count."""

    @abstractmethod
    def loss(self, logits: Tensor, cards: Tensor) -> Tensor:
        """What the logits (B, N) pay for cards (B,), NaN left out: 0 if perfect, 1 for the counts 1 to 52 alike."""


class Regression(CountHead):
    """The centre is the count."""

    size = 0

    def forward(self, centre: Tensor, numbers: Tensor) -> Count:
        return Count(centre, torch.full_like(centre, torch.nan), numbers)

    def loss(self, logits: Tensor, cards: Tensor) -> Tensor:
        return logits.new_zeros(())


class Distribution(CountHead):
    """A mixture of `COMPONENTS` normal distributions near the centre, taken at the counts 0 to 104.

    The numbers are each component's weight, its distance from the centre in units of its width, and its width. It
    pays the Kullback-Leibler divergence from `soft_labels`, whose width is part of the spread: a perfect one ends near
    `sigma`. The centre's gradient is the mean's error over the variance: a squared error's, but weaker on frames
    that tell little.

    Sources: Bishop 1994, Mixture Density Networks, for the mixture; Gao et al. 2018, Age Estimation Using Expectation
    of Label Distribution Learning, IJCAI, for soft labels and, with `loss.cards`, a loss of the mean beside them.

    Args:
        sigma: standard deviation of the soft labels, in cards.

    Raises:
        InputError: `sigma` is no number above 0.
    """

    size = 3 * COMPONENTS

    def __init__(self, sigma: float) -> None:
        super().__init__()
        if not (isinstance(sigma, int | float) and sigma > 0):
            raise InputError(f"count_head.sigma={sigma}: choose a number above 0")
        self.sigma = sigma
        labels = soft_labels(_deck(), sigma)
        self.normaliser = float(_divergence(labels.mean(0).clamp_min(1e-30).log(), labels).mean())

    def forward(self, centre: Tensor, numbers: Tensor) -> Count:
        weight, shift, width = numbers.unflatten(1, (3, COMPONENTS)).unsqueeze(-1).unbind(1)  # (B, 3, 1) each
        width = START * _positive(width) + FINEST
        away = (_counts(centre) - CARDS_PER_DECK * centre[:, None, None]) / width - shift  # (B, 3, 105)
        parts = weight.log_softmax(1) - width.log() - away.square() / 2
        logits = parts.logsumexp(1).log_softmax(1)
        return Count(*_moments(logits.exp()), logits)

    def loss(self, logits: Tensor, cards: Tensor) -> Tensor:
        divergence = _divergence(logits.log_softmax(1), soft_labels(cards.nan_to_num(), self.sigma))
        return mean_of_known(divergence, cards) / self.normaliser


class Ordinal(CountHead):
    """Cumulative logits (B, 104): that there are more than 0, 1, ... 103 cards, one score against ordered thresholds.

    Each is a binary question with cross-entropy of its own. The thresholds start halfway between the counts and are
    learned, as positive steps, so that they stay in order and weight decay draws them to one card each. The number is
    the scale of the frame: without it all frames would be equally sure.

    Sources: Cao, Mirjalili and Raschka 2020, Rank Consistent Ordinal Regression for Neural Networks (CORAL),
    https://arxiv.org/abs/1901.07884; McCullagh 1980, Regression Models for Ordinal Data, for the scale.
    """

    size = 1
    up_to: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.steps = nn.Parameter(torch.zeros(MAX_CARDS))
        # Which steps lie below each threshold: torch.cumsum is not deterministic on a GPU.
        self.register_buffer("up_to", torch.ones(MAX_CARDS, MAX_CARDS).tril(), persistent=False)
        more = _more(_deck())
        self.normaliser = float(
            F.binary_cross_entropy(more.mean(0).expand_as(more), more, reduction="sum") / CARDS_PER_DECK
        )

    def thresholds(self) -> Tensor:
        """(104,) in cards, rising."""
        return (self.up_to * _positive(self.steps)).sum(1) - 0.5  # autocast would round a matrix product

    def forward(self, centre: Tensor, numbers: Tensor) -> Count:
        scale = (
            START * math.sqrt(3) / math.pi * _positive(numbers) + FINEST
        )  # of a logistic distribution, (B, 1)
        logits = (CARDS_PER_DECK * centre.unsqueeze(1) - self.thresholds()) / scale
        more = logits.sigmoid()
        probabilities = F.pad(more, (1, 0), value=1.0) - F.pad(more, (0, 1))
        return Count(*_moments(probabilities), logits)

    def loss(self, logits: Tensor, cards: Tensor) -> Tensor:
        asked = F.binary_cross_entropy_with_logits(logits, _more(cards), reduction="none").sum(1)
        return mean_of_known(asked, cards) / self.normaliser


def mean_of_known(values: Tensor, cards: Tensor) -> Tensor:
    """The mean of the values (B,) of those frames whose count (B,) is known; 0 where none is.

    >>> mean_of_known(torch.tensor([3.0, 5.0]), torch.tensor([26.0, float("nan")])).item()
    3.0
    """
    known = ~cards.isnan()
    return torch.where(known, values, 0.0).sum() / known.sum().clamp_min(1)


def soft_labels(cards: Tensor, sigma: float) -> Tensor:
    """(B,) whole counts, 0 to 104, to probabilities (B, 105): a normal distribution whose mean is the count.

    Near 0 and 104 it is cut off on the other side too, since cut on one side its mean would be another.

    >>> soft_labels(torch.tensor([1.0]), sigma=1.0)[0, :4].round(decimals=2)
    tensor([0.2700, 0.4500, 0.2700, 0.0000])
    """
    cards = cards.unsqueeze(1)
    away = _counts(cards) - cards
    reach = torch.minimum(cards, MAX_CARDS - cards)
    bell = torch.where(away.abs() <= reach, torch.exp(-0.5 * (away / sigma) ** 2), 0.0)
    return bell / bell.sum(1, keepdim=True)


def _counts(like: Tensor) -> Tensor:
    """0 to 104, where `like` is."""
    return torch.arange(MAX_CARDS + 1, dtype=torch.float32, device=like.device)


def _more(cards: Tensor) -> Tensor:
    """(B, 104): 1 where cards (B,) are more than 0, 1, ... 103; 0 elsewhere, and where they are NaN."""
    return (cards.unsqueeze(1) > _counts(cards)[:-1]).float()


def _deck() -> Tensor:
    """The counts of one deck, which are alike to who knows nothing."""
    return torch.arange(1, CARDS_PER_DECK + 1, dtype=torch.float32)


def _positive(number: Tensor) -> Tensor:
    """Above 0; 1 for 0."""
    return F.softplus(number + math.log(math.e - 1))


def _divergence(log_probabilities: Tensor, labels: Tensor) -> Tensor:
    """Kullback-Leibler divergence (B,) of log probabilities (B, 105) or (105,) from labels (B, 105)."""
    return F.kl_div(log_probabilities.expand_as(labels), labels, reduction="none").sum(1)


def _moments(probabilities: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation (B,), 52 = 1, of probabilities (B, 105)."""
    counts = _counts(probabilities)
    mean = (probabilities * counts).sum(1)
    variance = (probabilities * (counts - mean.unsqueeze(1)).square()).sum(1)
    return mean / CARDS_PER_DECK, variance.clamp_min(1e-12).sqrt() / CARDS_PER_DECK
