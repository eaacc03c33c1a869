"""The training objective: named terms, each scaled so that a predictor that knows nothing pays about 1.

| term       | raw                         | divided by                                   | pays 1                    |
| ---------- | --------------------------- | -------------------------------------------- | ------------------------- |
| heatmaps   | squared error summed a map  | pi sigma^2, the energy of one drawn Gaussian | an empty map              |
| cards      | mean squared error, 52 = 1  | 1/12, the variance of a uniform count        | the mean count everywhere |
| visibility | binary cross-entropy        | log 2                                        | probability 1/2           |

so that weight 1 of each is a sensible start and the weights compare across sizes, strides and sigmas.
"""

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cardpose.errors import InputError
from cardpose.heatmaps import gaussian_energy
from cardpose.models.unet import Output
from cardpose.packet import DECK, VISIBLE, Batch

TERMS = ("heatmaps", "cards", "visibility")


def heatmap_mse(predicted: Tensor, target: Tensor, sigma: float) -> Tensor:
    """Squared error of (B, 8, h, w) maps, channel-wise: each map's sum over one Gaussian's energy, then the mean.

    >>> target = torch.ones(2, 8, 4, 4)
    >>> heatmap_mse(target, target, sigma=1.0).item()
    0.0
    """
    return F.mse_loss(predicted, target, reduction="none").sum((2, 3)).mean() / gaussian_energy(sigma)


def card_mse(predicted: Tensor, cards: Tensor) -> Tensor:
    """Squared error of normalised counts (B,) against cards (B,), NaN left out, over a uniform count's variance.

    >>> card_mse(torch.tensor([0.5, 0.9]), torch.tensor([26.0, float("nan")])).item()
    0.0
    """
    known = ~cards.isnan()
    error = torch.where(known, predicted - cards.nan_to_num() / DECK, 0.0)
    return 12 * error.square().sum() / known.sum().clamp_min(1)


def visibility_bce(logits: Tensor, visibility: Tensor) -> Tensor:
    """Binary cross-entropy of logits (B, 8) in units of log 2; the positive class is visible (2).

    >>> visibility_bce(torch.zeros(1, 8), torch.full((1, 8), 2)).item()
    1.0
    """
    return F.binary_cross_entropy_with_logits(logits, (visibility == VISIBLE).float()) / math.log(2)


class PacketLoss(nn.Module):
    """L = w_h heatmaps + w_c cards + w_v visibility.

    Args:
        weights: weight of each term of `TERMS`; all of them are named, 0 leaves a term out.
        sigma: of the target heatmaps, in heatmap pixels.

    Raises:
        InputError: a name that is not a term, a term without a weight, or a negative weight.
    """

    def __init__(self, weights: Mapping[str, float], sigma: float) -> None:
        super().__init__()
        if set(weights) != set(TERMS):
            raise InputError(
                f"loss has the terms {', '.join(sorted(weights))}: give exactly {', '.join(TERMS)} a weight"
            )
        for name, weight in weights.items():
            if not weight >= 0:
                raise InputError(f"loss.{name}={weight}: choose 0 or more")
        self.weights = dict(weights)
        self.sigma = sigma

    def forward(self, output: Output, batch: Batch) -> dict[str, Tensor]:
        """Each term unweighted under its name, and their weighted sum as "loss"."""
        terms = {
            "heatmaps": heatmap_mse(output.heatmaps, batch["heatmaps"], self.sigma),
            "cards": card_mse(output.cards, batch["cards"]),
            "visibility": visibility_bce(output.visibility, batch["visibility"]),
        }
        return terms | {
            "loss": sum(
                (self.weights[name] * term for name, term in terms.items()), terms["heatmaps"].new_zeros(())
            )
        }
