"""The training objective: named terms, each scaled so that a predictor that knows nothing pays about 1.

| term        | raw                              | divided by                             | pays 1                    |
| ----------- | -------------------------------- | -------------------------------------- | ------------------------- |
| heatmaps    | squared error (or another, see   | pi sigma^2, the energy of one drawn    | an empty map              |
|             | heatmap_losses.py) summed a map  | Gaussian (or what an empty map pays)   |                           |
| coordinates | distance of the soft-argmax      | a quarter of the map's width or height | a flat map                |
| cards       | squared error (or another, see   | 1/12, the variance of a uniform count  | the mean count everywhere |
|             | card_losses.py), 52 = 1          | (or what the best constant pays)       |                           |
| distribu-   | divergence from soft labels, or  | what those of a uniform count pay for  | the counts 1 to 52,       |
| tion        | cross-entropy, see counts.py     | not being told apart                   | all alike                 |
| visibility  | binary cross-entropy             | log 2                                  | probability 1/2           |

so that the weights compare across sizes, strides and sigmas, and weight 1 is a sensible start, but for the
coordinates, whose weight starts at 0: the heatmaps alone tell the corners. A head that tells one number alone has no
distribution and pays 0 for it.
"""

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cardpose.common.errors import InputError
from cardpose.common.packet import VISIBLE, Batch
from cardpose.evaluation.metrics.gather import GatherMetric
from cardpose.models.unet import Output
from cardpose.training.losses.cards import CARD_LOSSES
from cardpose.training.losses.heatmaps import HEATMAP_LOSSES, coordinates

TERMS = ("heatmaps", "coordinates", "cards", "distribution", "visibility")


def visibility_bce(logits: Tensor, visibility: Tensor) -> Tensor:
    """Binary cross-entropy of logits (B, 8) in units of log 2; the positive class is visible (2).

    >>> import torch
    >>> visibility_bce(torch.zeros(1, 8), torch.full((1, 8), 2)).item()
    1.0
    """
    return F.binary_cross_entropy_with_logits(logits, (visibility == VISIBLE).float()) / math.log(2)


class PacketLoss(nn.Module):
    """L = w_h heatmaps + w_x coordinates + w_c cards + w_d distribution + w_v visibility.

    Args:
        weights: weight of each term of `TERMS`; all of them are named; one of 0 is logged, but not in the sum.
        sigma: of the target heatmaps, in heatmap pixels.
        heatmap_loss: name of the heatmaps' loss, see `cardpose.training.losses.heatmaps`.
        card_loss: name of the count's loss, see `cardpose.training.losses.cards`.
        distribution: what logits (B, N) of the count pay for cards (B,): the read-out's `loss`, see
            `cardpose.models.counts`.

    Raises:
        InputError: a name that is not a term, a term without a weight, a weight that is no number from 0, or an
            unknown loss.
    """

    def __init__(
        self,
        weights: Mapping[str, float],
        sigma: float,
        distribution: Callable[[Tensor, Tensor], Tensor],
        heatmap_loss: str = "mse",
        card_loss: str = "mse",
    ) -> None:
        super().__init__()
        if set(weights) != set(TERMS):
            raise InputError(
                f"loss has the terms {', '.join(sorted(weights))}: give exactly {', '.join(TERMS)} a weight"
            )
        for name, weight in weights.items():
            if not (isinstance(weight, int | float) and weight >= 0):
                raise InputError(f"loss.{name}={weight}: choose a number from 0")
        if heatmap_loss not in HEATMAP_LOSSES:
            raise InputError(f"loss.heatmap_loss={heatmap_loss}: choose {', '.join(HEATMAP_LOSSES)}")
        if card_loss not in CARD_LOSSES:
            raise InputError(f"loss.card_loss={card_loss}: choose {', '.join(CARD_LOSSES)}")
        self.weights = dict(weights)
        self.sigma = sigma
        self.heatmap_loss = HEATMAP_LOSSES[heatmap_loss]
        self.card_loss = CARD_LOSSES[card_loss]
        self.distribution = distribution

    def forward(self, output: Output, batch: Batch) -> dict[str, Tensor]:
        """Each term unweighted under its name, and their weighted sum as "loss"."""
        terms = {
            "heatmaps": self.heatmap_loss(output.heatmaps, batch["heatmaps"], self.sigma),
            "coordinates": coordinates(output.heatmaps, batch["heatmaps"]),
            "cards": self.card_loss(output.cards, batch["cards"]),
            "distribution": self.distribution(output.count_logits, batch["cards"]),
            "visibility": visibility_bce(output.visibility, batch["visibility"]),
        }
        return terms | {
            "loss": sum(
                (self.weights[name] * term for name, term in terms.items()), terms["heatmaps"].new_zeros(())
            )
        }


class EpochLoss(GatherMetric):
    """`PacketLoss` of a whole set: the same however its frames fall into batches, and into processes.

    A term is a mean over the frames, the frames of known count or the drawn corners, and counts by how many of these
    a batch has.

    Args:
        weights: as `PacketLoss` takes them.
    """

    names = ("values", "items")

    def __init__(self, weights: Mapping[str, float]) -> None:
        super().__init__()
        self.weights = dict(weights)

    def update(self, losses: Mapping[str, Tensor], batch: Batch) -> None:  # type: ignore[override]
        """Take what `PacketLoss` said of a batch."""
        values = torch.stack([losses[term].detach().double() for term in TERMS])
        super().update(values[None], _items(batch)[None])

    def compute(self) -> dict[str, Tensor]:
        """As `PacketLoss` returns it, float64."""
        values, items = self.gathered()  # (updates, terms)
        means = (values * items).sum(0) / items.sum(0).clamp_min(1)
        terms = dict(zip(TERMS, means, strict=True))
        weighted = torch.stack([self.weights[name] * term for name, term in terms.items()])
        return terms | {"loss": weighted.sum()}


def _items(batch: Batch) -> Tensor:
    """(terms,) number of items that each of `TERMS` is a mean over."""
    frames, known = torch.ones_like(batch["cards"]).sum(), (~batch["cards"].isnan()).sum()
    drawn = (batch["heatmaps"].amax((2, 3)) > 0).sum()
    items = {
        "heatmaps": frames,
        "coordinates": drawn,
        "cards": known,
        "distribution": known,
        "visibility": frames,
    }
    return torch.stack([items[term].long() for term in TERMS])
