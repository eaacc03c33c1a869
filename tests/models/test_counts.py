"""Count heads: soft labels and prediction are inverse to each other; the loss of a uniform prediction is 1."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from cardpose.common.errors import InputError
from cardpose.common.packet import CARDS_PER_DECK, MAX_CARDS
from cardpose.models.counts import (
    INITIAL_STD,
    MIN_STD,
    Count,
    CountHead,
    Distribution,
    Regression,
    soft_labels,
)

SIGMA = 1.5


def distribution() -> Distribution:
    return Distribution(SIGMA)


WITH_DISTRIBUTION: list[Callable[[], CountHead]] = [distribution]
EVERY_HEAD: list[Callable[[], CountHead]] = [Regression, *WITH_DISTRIBUTION]
with_distribution = pytest.mark.parametrize("make", WITH_DISTRIBUTION)
every_head = pytest.mark.parametrize("make", EVERY_HEAD)


def every_label() -> Tensor:
    return torch.arange(1.0, MAX_CARDS + 1)


def deck() -> Tensor:
    return torch.arange(1.0, CARDS_PER_DECK + 1)


def guess(head: CountHead, rows: int = 6) -> Count:
    """The count for random numbers."""
    generator = torch.Generator().manual_seed(0)
    centre, numbers = (
        torch.rand(rows, generator=generator),
        torch.randn(rows, head.size, generator=generator),
    )
    return head(centre, 3 * numbers)


def width_number(width: float) -> float:
    """The number that gives a width in units of `INITIAL_STD`: the inverse of the shifted softplus."""
    return math.log(math.expm1(width)) - math.log(math.expm1(1))


def sharp(head: CountHead, cards: Tensor) -> Count:
    """The narrowest distributions with their centres at `cards`."""
    numbers = torch.zeros(len(cards), head.size)
    numbers[:, -3:] = -30.0  # the widths
    return head(cards / CARDS_PER_DECK, numbers)


@pytest.mark.parametrize("sigma", [0.1, 1.0, 2.5, 40.0])
def test_the_mean_of_soft_labels_is_the_count(sigma: float) -> None:
    labels = soft_labels(every_label(), sigma)
    counts = torch.arange(0.0, MAX_CARDS + 1)
    assert (labels >= 0).all()
    torch.testing.assert_close(labels.sum(1), torch.ones(MAX_CARDS))
    torch.testing.assert_close(labels @ counts, every_label(), rtol=0, atol=1e-3)


def test_soft_labels_are_as_wide_as_they_state() -> None:
    counts = torch.arange(0.0, MAX_CARDS + 1)
    label = soft_labels(torch.tensor([50.0]), SIGMA)[0]
    assert (label @ (counts - 50) ** 2).sqrt().item() == pytest.approx(SIGMA, abs=1e-3)


def test_a_distribution_reads_back_the_labels_that_it_is_taught() -> None:
    head = distribution()
    counts = torch.arange(10.0, 95)
    numbers = torch.zeros(len(counts), head.size)
    numbers[:, -3:] = width_number(
        (SIGMA - MIN_STD) / INITIAL_STD
    )  # normals of width sigma are the soft label itself
    count = head(counts / CARDS_PER_DECK, numbers)
    torch.testing.assert_close(count.logits.exp(), soft_labels(counts, SIGMA), rtol=0, atol=1e-5)
    torch.testing.assert_close(CARDS_PER_DECK * count.cards, counts, rtol=0, atol=1e-3)
    torch.testing.assert_close(
        CARDS_PER_DECK * count.cards_std, torch.full_like(counts, SIGMA), rtol=0, atol=1e-3
    )
    assert head.loss(count.logits, counts).item() == pytest.approx(0, abs=1e-4)


@with_distribution
def test_a_sharp_centre_is_the_count(make: Callable[[], CountHead]) -> None:
    count = sharp(make(), every_label())
    torch.testing.assert_close(CARDS_PER_DECK * count.cards, every_label(), rtol=0, atol=0.05)
    assert (CARDS_PER_DECK * count.cards_std).max() < 0.3


@with_distribution
def test_the_loss_of_a_uniform_distribution_over_a_deck_is_1(make: Callable[[], CountHead]) -> None:
    logits = soft_labels(deck(), SIGMA).mean(0).clamp_min(1e-30).log()
    assert make().loss(logits.expand(CARDS_PER_DECK, -1), deck()).item() == pytest.approx(1, abs=1e-3)


@with_distribution
def test_the_loss_of_an_untrained_head_is_about_1(make: Callable[[], CountHead]) -> None:
    head = make()
    count = head(torch.full((CARDS_PER_DECK,), 0.5), torch.zeros(CARDS_PER_DECK, head.size))
    assert head.loss(count.logits, deck()).item() == pytest.approx(1, abs=0.1)


@with_distribution
def test_the_count_follows_the_centre(make: Callable[[], CountHead]) -> None:
    """So that what is learned at one count holds at another, and `straight` leads to the count."""
    head = make()
    centres = torch.linspace(0.3, 1.5, 25)
    numbers = guess_numbers(head).expand(25, -1)
    count = head(centres, numbers)
    torch.testing.assert_close(
        count.cards - count.cards[0], centres - centres[0], rtol=0, atol=0.1 / CARDS_PER_DECK
    )
    torch.testing.assert_close(
        count.cards_std, count.cards_std[:1].expand(25), rtol=0, atol=0.05 / CARDS_PER_DECK
    )


def guess_numbers(head: CountHead) -> Tensor:
    """Numbers (1, size) of a narrow, lopsided distribution."""
    numbers = torch.randn(1, head.size, generator=torch.Generator().manual_seed(1))
    numbers[:, -3:] = torch.tensor([-3.0, -2.5, -2.0])[-min(3, head.size) :]
    return numbers


def test_the_gradient_of_the_centre_is_the_error_of_the_mean() -> None:
    """One component: an error weighs by the inverse of the variance."""
    head = distribution()
    centre = torch.tensor([0.5], requires_grad=True)
    count = head(centre, torch.full((1, head.size), -2.0) * torch.tensor([0.0] * 6 + [1.0] * 3))
    head.loss(count.logits, torch.tensor([30.0])).backward()
    width2 = (CARDS_PER_DECK * count.cards_std.item()) ** 2
    assert centre.grad is not None
    want = CARDS_PER_DECK * (26 - 30) / width2 / head.normaliser
    assert centre.grad.item() == pytest.approx(want, rel=0.02)


@with_distribution
def test_the_count_is_never_out_of_range(make: Callable[[], CountHead]) -> None:
    head = make()
    count = head(torch.tensor([-50.0, -1.0, 4.0, 50.0]), torch.zeros(4, head.size))
    assert ((count.cards >= 0) & (count.cards <= MAX_CARDS / CARDS_PER_DECK)).all()
    assert count.cards_std.isfinite().all()
    loss = head.loss(count.logits, torch.tensor([104.0, 104.0, 1.0, 1.0]))
    assert loss.isfinite()


def test_a_regression_is_its_centre_and_has_no_standard_deviation() -> None:
    count = guess(Regression())
    assert count.cards_std.isnan().all()
    assert count.logits.shape == (6, 0)
    assert Regression().loss(count.logits, torch.full((6,), 3.0)) == 0


@every_head
def test_a_frame_does_not_depend_on_its_batch(make: Callable[[], CountHead]) -> None:
    head = make()
    centre, numbers = torch.rand(5), torch.randn(5, head.size)
    together = head(centre, numbers)
    for row in range(5):
        alone = head(centre[row : row + 1], numbers[row : row + 1])
        for part, whole in zip(alone, together, strict=True):
            torch.testing.assert_close(part, whole[row : row + 1], equal_nan=True)


@with_distribution
def test_frames_without_a_count_are_left_out(make: Callable[[], CountHead]) -> None:
    head = make()
    logits = guess(head, rows=4).logits.detach().requires_grad_()
    cards = torch.tensor([5.0, torch.nan, 40.0, torch.nan])
    known = ~cards.isnan()
    loss = head.loss(logits, cards)
    torch.testing.assert_close(loss, head.loss(logits[known], cards[known]))
    loss.backward()
    assert logits.grad is not None
    assert (logits.grad[~known] == 0).all()
    assert (logits.grad[known] != 0).any(1).all()


@with_distribution
def test_the_standard_deviation_is_that_of_the_errors(make: Callable[[], CountHead]) -> None:
    """Frames that look alike and whose counts scatter: the fitted one is their standard deviation."""
    torch.manual_seed(0)
    head = make()
    cards = (26 + 4 * torch.randn(400)).round()
    centre, numbers = (
        torch.tensor([0.3], requires_grad=True),
        torch.zeros(1, head.size, requires_grad=True),
    )
    optimizer = torch.optim.Adam([centre, numbers], lr=0.05)
    for _ in range(300):
        optimizer.zero_grad()
        head.loss(head(centre, numbers).logits.expand(400, -1), cards).backward()
        optimizer.step()
    count = head(centre, numbers)
    assert CARDS_PER_DECK * count.cards.item() == pytest.approx(cards.mean().item(), abs=0.3)
    assert CARDS_PER_DECK * count.cards_std.item() == pytest.approx(cards.std().item(), rel=0.15)


@pytest.mark.parametrize("sigma", [0, -1.0, float("nan"), "wide", None])
def test_soft_labels_without_a_width_are_refused(sigma: float) -> None:
    with pytest.raises(InputError, match=rf"count_head\.sigma={sigma}: choose a number above 0"):
        Distribution(sigma)
