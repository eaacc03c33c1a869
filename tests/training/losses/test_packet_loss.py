"""The objective: what knowing nothing and knowing all pays, and what does not count."""

from typing import Any

import pytest
import torch
from torch import Tensor

from cardpose.common.errors import InputError
from cardpose.common.packet import CARDS_PER_DECK, MAX_CARDS, NUM_CORNERS, Batch
from cardpose.models.counts import Distribution, Regression, soft_labels
from cardpose.models.heatmaps import encode
from cardpose.models.unet import Output
from cardpose.training.losses.heatmaps import heatmap_mse
from cardpose.training.losses.packet_loss import TERMS, EpochLoss, PacketLoss, card_mse, visibility_bce

SIGMA = 1.5
COUNT = Distribution(sigma=1.0)
WEIGHTS = {
    "heatmaps": 0.5,
    "intermediate": 0.4,
    "coordinates": 0.75,
    "cards": 2.0,
    "distribution": 1.5,
    "visibility": 0.25,
}
TAUGHT = {name: name for name in TERMS} | {"coordinates": "heatmaps", "distribution": "count_logits"}
"""The output that each term is of."""


def make_batch(cards: Tensor, seed: int = 0, stride: int = 4, sigma: float = SIGMA) -> Batch:
    """Labels whose Gaussians lie well inside 24x32 heatmaps."""
    frames, size = len(cards), (24 * stride, 32 * stride)
    generator = torch.Generator().manual_seed(seed)
    span = torch.tensor([size[1], size[0]]) * 0.4
    corners = 0.3 * torch.tensor([size[1], size[0]]) + span * torch.rand(
        frames, NUM_CORNERS, 2, generator=generator
    )
    visibility = torch.randint(1, 3, (frames, NUM_CORNERS), generator=generator)
    return {
        "image": torch.zeros(frames, 3, 1, 1),
        "corners": corners,
        "visibility": visibility,
        "cards": cards,
        "video": torch.zeros(frames, dtype=torch.long),
        "frame_index": torch.arange(frames),
        "to_source": torch.eye(2, 3).repeat(frames, 1, 1),
        "heatmaps": encode(corners, visibility, size=size, stride=stride, sigma=sigma),
    }


def perfect(batch: Batch) -> Output:
    visibility = 60.0 * (batch["visibility"] == 2) - 30.0
    cards, spread = batch["cards"] / CARDS_PER_DECK, torch.zeros_like(batch["cards"])
    logits = soft_labels(batch["cards"], COUNT.sigma).clamp_min(1e-30).log()
    earlier = batch["heatmaps"].unsqueeze(1).repeat(1, 2, 1, 1, 1)
    return Output(batch["heatmaps"].clone(), cards, visibility, spread, logits, earlier)


def guess(batch: Batch, seed: int = 1) -> Output:
    """A prediction some way off, whose gradient can be asked for."""
    generator = torch.Generator().manual_seed(seed)
    shapes = [batch[key].shape for key in ("heatmaps", "cards", "visibility", "cards")]
    frames, *rest = batch["heatmaps"].shape
    shapes += [torch.Size([frames, MAX_CARDS + 1]), torch.Size([frames, 2, *rest])]
    return Output(*(torch.rand(shape, generator=generator).requires_grad_() for shape in shapes))


def every_count() -> Tensor:
    return torch.arange(1.0, CARDS_PER_DECK + 1)


@pytest.mark.parametrize(("stride", "sigma"), [(1, 1.0), (2, 1.5), (4, 2.0)])
def test_an_empty_map_pays_1(stride: int, sigma: float) -> None:
    target = make_batch(every_count(), stride=stride, sigma=sigma)["heatmaps"]
    assert heatmap_mse(torch.zeros_like(target), target, sigma).item() == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("visibility", [0, 1, 2])
def test_probability_one_half_pays_1(visibility: int) -> None:
    logits = torch.zeros(3, NUM_CORNERS)
    assert visibility_bce(logits, torch.full((3, NUM_CORNERS), visibility)).item() == pytest.approx(1)


@pytest.mark.parametrize("visibility", [0, 1])
def test_only_visible_is_the_positive_class(visibility: int) -> None:
    sure = torch.full((1, NUM_CORNERS), 30.0)
    assert visibility_bce(sure, torch.full((1, NUM_CORNERS), 2)) < 1e-6
    assert visibility_bce(sure, torch.full((1, NUM_CORNERS), visibility)) > 10
    assert visibility_bce(-sure, torch.full((1, NUM_CORNERS), visibility)) < 1e-6


def test_a_perfect_prediction_has_no_loss() -> None:
    batch = make_batch(every_count())
    for name, value in PacketLoss(WEIGHTS, SIGMA, COUNT.loss)(perfect(batch), batch).items():
        assert value.item() == pytest.approx(0, abs=1e-6), name


def test_the_heatmap_term_does_not_depend_on_the_stride() -> None:
    terms = []
    for stride in (1, 2, 4):
        target = make_batch(torch.ones(2), stride=stride)["heatmaps"]
        terms.append(heatmap_mse(0.5 * target, target, SIGMA).item())
    assert terms == pytest.approx([0.25] * 3, abs=1e-3)


def test_the_loss_is_the_weighted_sum_of_its_terms() -> None:
    batch = make_batch(every_count())
    losses = PacketLoss(WEIGHTS, SIGMA, COUNT.loss)(guess(batch), batch)
    assert set(losses) == {*TERMS, "loss", "intermediate_1", "intermediate_2"}
    parts = losses["intermediate_1"] + losses["intermediate_2"]
    assert losses["intermediate"].item() == pytest.approx(parts.item())
    assert all(losses[name] > 0 for name in TERMS)
    want = sum(weight * losses[name].item() for name, weight in WEIGHTS.items())
    assert losses["loss"].item() == pytest.approx(want, rel=1e-6)


def test_each_earlier_map_can_have_its_own_weight() -> None:
    batch = make_batch(every_count())
    output = guess(batch)
    weights = dict.fromkeys(TERMS, 0.0) | {"intermediate": [0.0, 3.0]}
    loss = PacketLoss(weights, SIGMA, COUNT.loss)
    losses = loss(output, batch)
    assert losses["loss"].item() == pytest.approx(3 * losses["intermediate_2"].item())
    losses["loss"].backward()
    assert output.intermediate.grad is not None
    assert (output.intermediate.grad[:, 0] == 0).all()
    assert (output.intermediate.grad[:, 1] != 0).any()
    loss.check_maps(2)
    with pytest.raises(InputError, match=r"loss\.intermediate=\[0\.0, 3\.0\]: has 2 weights, the network 1 "):
        loss.check_maps(1)


@pytest.mark.parametrize("weight", [0.4, [0.25, 2.0]])
def test_an_epoch_states_each_earlier_map_however_it_is_divided_into_batches(weight: Any) -> None:
    batch = make_batch(every_count())
    output, loss = guess(batch), PacketLoss(WEIGHTS | {"intermediate": weight}, SIGMA, COUNT.loss)
    epoch = EpochLoss(loss.weights, 2)
    for part in (slice(0, 7), slice(7, None)):
        rows: Batch = {name: value[part] for name, value in batch.items()}  # type: ignore[assignment, index]
        epoch.update(loss(Output(*(value[part] for value in output)), rows), rows)
    whole = loss(output, batch)
    found = epoch.compute()
    assert set(found) == set(whole)
    for name, value in whole.items():
        assert found[name].item() == pytest.approx(value.item(), rel=1e-5), name


@pytest.mark.parametrize("name", TERMS)
def test_a_weight_changes_nothing_but_its_share_of_the_sum(name: str) -> None:
    batch = make_batch(every_count())
    output = guess(batch)
    before = PacketLoss(WEIGHTS, SIGMA, COUNT.loss)(output, batch)
    after = PacketLoss(WEIGHTS | {name: 7.0}, SIGMA, COUNT.loss)(output, batch)
    assert all(torch.equal(after[term], before[term]) for term in TERMS)
    share = (7.0 - WEIGHTS[name]) * before[name].item()
    assert after["loss"].item() == pytest.approx(before["loss"].item() + share, rel=1e-5)


@pytest.mark.parametrize("output_name", sorted(set(TAUGHT.values())))
def test_weight_0_leaves_no_gradient_of_that_term(output_name: str) -> None:
    batch = make_batch(every_count())
    output = guess(batch)
    off = {name: 0.0 for name in TERMS if TAUGHT[name] == output_name}
    PacketLoss(WEIGHTS | off, SIGMA, COUNT.loss)(output, batch)["loss"].backward()
    for name in set(TAUGHT.values()):
        gradient = getattr(output, name).grad
        assert (gradient == 0).all() if name == output_name else (gradient != 0).any(), name


def test_a_term_teaches_only_its_own_output() -> None:
    batch = make_batch(every_count())
    for name in TERMS:
        output = guess(batch)
        PacketLoss(WEIGHTS, SIGMA, COUNT.loss)(output, batch)[name].backward()
        assert [other for other in Output._fields if getattr(output, other).grad is not None] == [
            TAUGHT[name]
        ]


def test_a_batch_without_any_count_has_a_finite_loss_and_gradient() -> None:
    batch = make_batch(torch.full((3,), torch.nan))
    output = guess(batch)
    losses = PacketLoss(WEIGHTS, SIGMA, COUNT.loss)(output, batch)
    losses["loss"].backward()
    assert losses["cards"] == losses["distribution"] == 0
    assert losses["loss"].isfinite()
    assert (output.cards.grad == 0).all()
    assert (output.count_logits.grad == 0).all()
    assert output.heatmaps.grad.isfinite().all()
    assert output.visibility.grad.isfinite().all()


def test_a_batch_twice_over_has_the_same_loss() -> None:
    cards = every_count()
    cards[::5] = torch.nan
    batch = make_batch(cards)
    output = guess(batch)
    twice: Batch = {name: torch.cat([value, value]) for name, value in batch.items()}  # type: ignore[assignment]
    loss = PacketLoss(WEIGHTS, SIGMA, COUNT.loss)
    once = loss(output, batch)
    doubled = loss(Output(*(torch.cat([value, value]) for value in output)), twice)
    for name, value in once.items():
        torch.testing.assert_close(doubled[name], value, msg=name)


def test_a_regression_has_no_loss_for_a_distribution() -> None:
    batch = make_batch(every_count())
    output = guess(batch)._replace(count_logits=torch.zeros(len(batch["cards"]), 0))
    losses = PacketLoss(WEIGHTS, SIGMA, Regression().loss)(output, batch)
    assert losses["distribution"] == 0
    assert losses["cards"] > 0


def test_all_weights_0_is_a_loss_of_0() -> None:
    batch = make_batch(torch.ones(2))
    assert PacketLoss(dict.fromkeys(TERMS, 0.0), SIGMA, COUNT.loss)(guess(batch), batch)["loss"] == 0


def test_an_unknown_term_is_named() -> None:
    with pytest.raises(
        InputError, match=r"loss has the terms .*\bcount\b.*give exactly heatmaps, intermediate, coordinates"
    ):
        PacketLoss(WEIGHTS | {"count": 1.0}, SIGMA, COUNT.loss)


@pytest.mark.parametrize("name", TERMS)
def test_a_missing_term_is_named(name: str) -> None:
    rest = {term: weight for term, weight in WEIGHTS.items() if term != name}
    with pytest.raises(InputError, match=rf"give exactly .*\b{name}\b"):
        PacketLoss(rest, SIGMA, COUNT.loss)


@pytest.mark.parametrize("name", TERMS)
@pytest.mark.parametrize("weight", [-1.0, -1e-9, float("nan"), "x", None])
def test_a_weight_that_is_no_number_from_0_is_named(name: str, weight: Any) -> None:
    with pytest.raises(InputError, match=rf"loss\.{name}={weight}"):
        PacketLoss(WEIGHTS | {name: weight}, SIGMA, COUNT.loss)


def test_a_list_of_weights_is_for_earlier_maps_only() -> None:
    for name, weight in (("cards", [1.0, 1.0]), ("intermediate", [1.0, -1.0])):
        with pytest.raises(InputError, match=rf"loss\.{name}=\["):
            PacketLoss(WEIGHTS | {name: weight}, SIGMA, COUNT.loss)


def test_the_mean_count_pays_1_for_cards() -> None:
    """The best constant over the counts of a deck."""
    constants = torch.arange(0.0, CARDS_PER_DECK, 0.25) / CARDS_PER_DECK
    paid = torch.stack([card_mse(constant.expand(CARDS_PER_DECK), every_count()) for constant in constants])
    assert paid.min().item() == pytest.approx(1, abs=1e-3)


def test_frames_without_a_count_have_no_part_in_the_loss_of_cards() -> None:
    cards = torch.tensor([5.0, torch.nan, 40.0, torch.nan])
    predicted = torch.rand(4, generator=torch.Generator().manual_seed(0)).requires_grad_()
    known = ~cards.isnan()
    loss = card_mse(predicted, cards)
    torch.testing.assert_close(loss, card_mse(predicted[known], cards[known]))
    loss.backward()
    assert predicted.grad is not None
    assert ((predicted.grad != 0) == known).all()
