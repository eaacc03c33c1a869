"""The training objective: a weighted sum of terms, each scaled to about 1 for a predictor that knows nothing.

| term         | loss                              | divided by                               | is 1 for               |
| ------------ | --------------------------------- | ---------------------------------------- | ---------------------- |
| heatmaps     | squared error, summed over a map  | pi sigma^2, the energy of one Gaussian   | empty maps             |
| intermediate | the same of earlier maps, added   | the same                                 | is S for S empty maps  |
| coordinates  | distance of the soft-argmax       | a quarter of the map's width or height   | flat maps              |
| cards        | squared error, 52 cards = 1       | 1/12, the variance of a uniform count    | the mean count         |
| distribution | see `cardpose.models.counts`      | its value for uniform probabilities      | uniform probabilities  |
| visibility   | binary cross-entropy              | log 2                                    | probability 1/2        |

So weights compare across image sizes, strides and sigmas, and 1 is a sensible start. Two exceptions: the weight of
`coordinates` starts at 0, since the heatmaps alone determine the corners; and `distribution` is 0 for a count head
without a distribution.
"""

import math
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cardpose.common.errors import InputError
from cardpose.common.packet import CARDS_PER_DECK, VISIBLE, Batch
from cardpose.evaluation.metrics.gather import GatherMetric
from cardpose.models.counts import mean_of_known
from cardpose.models.unet import Output
from cardpose.training.losses.heatmaps import coordinates, heatmap_mse

TERMS = ("heatmaps", "intermediate", "coordinates", "cards", "distribution", "visibility")
Weight = float | Sequence[float]
"""Of a term; several of intermediate, earliest map first."""


def card_mse(predicted: Tensor, cards: Tensor) -> Tensor:
    """Squared error of predicted counts (B,), 52 cards = 1, in units of a uniform count's variance.

    Args:
        predicted: (B,), 52 cards = 1.
        cards: (B,) true counts in cards; NaN where unknown, which is left out.

    >>> card_mse(torch.tensor([0.5, 0.9]), torch.tensor([26.0, float("nan")])).item()
    0.0
    """
    # 0 instead of NaN where the count is unknown, so that no NaN reaches a gradient
    error = torch.where(cards.isnan(), 0.0, predicted - cards.nan_to_num() / CARDS_PER_DECK)
    return 12 * mean_of_known(error.square(), cards)


def visibility_bce(logits: Tensor, visibility: Tensor) -> Tensor:
    """Binary cross-entropy of logits (B, 8) in units of log 2; the positive class is visible (2).

    >>> visibility_bce(torch.zeros(1, 8), torch.full((1, 8), 2)).item()
    1.0
    """
    return F.binary_cross_entropy_with_logits(logits, (visibility == VISIBLE).float()) / math.log(2)


class PacketLoss(nn.Module):
    """L = w_h heatmaps + w_i intermediate + w_x coordinates + w_c cards + w_d distribution + w_v visibility.

    Args:
        weights: one for each of `TERMS`; of intermediate also a list, one for each earlier map. A term with weight 0 is
            logged, but not part of the sum.
        sigma: of the target heatmaps, in heatmap pixels.
        distribution: loss of count logits (B, N) for true counts (B,) in cards: the `loss` of a count head, see
            `cardpose.models.counts`.

    Raises:
        InputError: an unknown term, a term without a weight, or a weight that is not a number from 0.
    """

    def __init__(
        self, weights: Mapping[str, Weight], sigma: float, distribution: Callable[[Tensor, Tensor], Tensor]
    ) -> None:
        super().__init__()
        if set(weights) != set(TERMS):
            raise InputError(
                f"loss has the terms {', '.join(sorted(weights))}: give exactly {', '.join(TERMS)} a weight"
            )
        for name, weight in weights.items():
            several = name == "intermediate" and isinstance(weight, Sequence) and not isinstance(weight, str)
            for one in weight if several else [weight]:  # type: ignore[union-attr]
                if not (isinstance(one, int | float) and one >= 0):
                    raise InputError(f"loss.{name}={weight}: choose a number from 0")
        self.weights = dict(weights)
        self.sigma = sigma
        self.distribution = distribution

    def forward(self, output: Output, batch: Batch) -> dict[str, Tensor]:
        """Each term unweighted under its name, their weighted sum as "loss", and the parts of "intermediate" as
        "intermediate_1", ..., earliest first.
        """
        stages = output.intermediate.unbind(1)
        parts = [heatmap_mse(maps, batch["heatmaps"], self.sigma) for maps in stages]
        earlier = dict(zip(part_names(len(parts)), parts, strict=True))
        terms = {
            "heatmaps": heatmap_mse(output.heatmaps, batch["heatmaps"], self.sigma),
            "intermediate": sum(earlier.values(), output.heatmaps.new_zeros(())),
            "coordinates": coordinates(output.heatmaps, batch["heatmaps"]),
            "cards": card_mse(output.cards, batch["cards"]),
            "distribution": self.distribution(output.count_logits, batch["cards"]),
            "visibility": visibility_bce(output.visibility, batch["visibility"]),
        }
        losses = terms | earlier
        return losses | {"loss": weighted_sum(self.weights, losses)}

    def check_maps(self, earlier: int) -> None:
        """Check that there is one weight, or one for each of the network's earlier maps.

        Raises:
            InputError: a list of another length.
        """
        given = self.weights["intermediate"]
        if isinstance(given, Sequence) and len(given) != earlier:
            raise InputError(
                f"loss.intermediate={list(given)}: has {len(given)} weights, the network {earlier} earlier heatmaps "
                "(stacks but the last, and one before spatial=...): give as many, or one number"
            )


def part_names(earlier: int) -> list[str]:
    """Names of the parts of the term intermediate, for that many earlier maps.

    >>> part_names(2)
    ['intermediate_1', 'intermediate_2']
    """
    return [f"intermediate_{number}" for number in range(1, earlier + 1)]


def weighted_sum(weights: Mapping[str, Weight], losses: Mapping[str, Tensor]) -> Tensor:
    """The sum of the terms, each times its weight; a list of weights belongs to the parts of the term."""
    total = losses["heatmaps"].new_zeros(())
    for name in TERMS:
        weight = weights[name]
        if isinstance(weight, Sequence):
            for part, one in zip(part_names(len(weight)), weight, strict=True):
                total = total + one * losses[part]
        else:
            total = total + weight * losses[name]
    return total


class EpochLoss(GatherMetric):
    """`PacketLoss` of a whole set, independent of how its frames are divided into batches and processes.

    Each term is a mean over frames, frames of known count, or drawn corners; batches are weighted by their number.

    Args:
        weights: as in `PacketLoss`.
        earlier: maps that the network gives before its last ones.
    """

    names = ("values", "items")

    def __init__(self, weights: Mapping[str, Weight], earlier: int = 0) -> None:
        super().__init__()
        self.weights = dict(weights)
        self.terms = (*TERMS, *part_names(earlier))

    def update(self, losses: Mapping[str, Tensor], batch: Batch) -> None:  # type: ignore[override]
        """Add a batch and the result of `PacketLoss` for it."""
        values = torch.stack([losses[term].detach().double() for term in self.terms])
        super().update(values[None], _items(batch, self.terms)[None])

    def compute(self) -> dict[str, Tensor]:
        """As `PacketLoss.forward`, in float64."""
        values, items = self.gathered()  # (updates, terms)
        means = (values * items).sum(0) / items.sum(0).clamp_min(1)
        losses = dict(zip(self.terms, means, strict=True))
        return losses | {"loss": weighted_sum(self.weights, losses)}


def _items(batch: Batch, terms: Sequence[str]) -> Tensor:
    """(terms,) number of items in a batch that each term is a mean over."""
    frames, known = torch.ones_like(batch["cards"]).sum(), (~batch["cards"].isnan()).sum()
    drawn = (batch["heatmaps"].amax((2, 3)) > 0).sum()
    items = {
        "coordinates": drawn,
        "cards": known,
        "distribution": known,
    }
    return torch.stack([items.get(term, frames).long() for term in terms])
