"""What heatmaps pay: nothing where they are right, 1 where they are empty, and a gradient towards the truth."""

import pytest
import torch
from torch import Tensor

from cardpose.common.packet import VISIBLE
from cardpose.models.heatmaps import encode, heatmap_to_image
from cardpose.training.losses.heatmaps import coordinates, heatmap_mse, soft_argmax

MAP = (24, 32)
SIGMAS = (1.0, 1.5, 3.0)


def draw(points: Tensor, sigma: float = 1.5) -> Tensor:
    """(B, 8, 2) heatmap pixels -> (B, 8, h, w)."""
    visibility = torch.full(points.shape[:2], VISIBLE)
    return encode(heatmap_to_image(points, 1), visibility, size=MAP, stride=1, sigma=sigma)


def places(batch: int, margin: float, seed: int = 0) -> Tensor:
    span = torch.tensor([MAP[1] - 1.0, MAP[0] - 1.0]) - 2 * margin
    return margin + span * torch.rand(batch, 8, 2, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("sigma", SIGMAS)
def test_an_empty_map_pays_1_and_a_perfect_one_nothing(sigma: float) -> None:
    target = draw(places(64, margin=8), sigma)
    assert heatmap_mse(torch.zeros_like(target), target, sigma).item() == pytest.approx(1, abs=0.01)
    assert heatmap_mse(target.clone(), target, sigma).item() == 0


def test_a_loss_grows_with_the_error() -> None:
    target = draw(places(4, margin=4))
    noise = torch.randn(target.shape, generator=torch.Generator().manual_seed(1))
    paid = [heatmap_mse(target + scale * noise, target, 1.5).item() for scale in (0, 0.02, 0.1, 1, 5)]
    assert paid == sorted(set(paid))


@pytest.mark.parametrize("scale", [0.0, 1e-3, 1.0, 100.0])
def test_gradients_are_finite_and_lead_downhill(scale: float) -> None:
    target = draw(places(2, margin=-0.5))
    noise = torch.randn(target.shape, generator=torch.Generator().manual_seed(2))
    predicted = (scale * noise).requires_grad_()
    loss = heatmap_mse(predicted, target, 1.5)
    (gradient,) = torch.autograd.grad(loss, predicted)
    assert gradient.isfinite().all()
    step = 1e-3 * gradient / gradient.norm()
    assert heatmap_mse(predicted - step, target, 1.5) < loss
    at_truth = target.clone().requires_grad_()
    (still,) = torch.autograd.grad(heatmap_mse(at_truth, target, 1.5), at_truth)
    assert still.abs().max() == 0


def test_descent_draws_the_gaussian() -> None:
    target = draw(places(1, margin=4))
    predicted = torch.zeros_like(target).requires_grad_()
    optimizer = torch.optim.Adam([predicted], lr=0.02)
    for _ in range(200):
        optimizer.zero_grad()
        heatmap_mse(predicted, target, 1.5).backward()
        optimizer.step()
    on_gaussian = target > 0.2
    assert (predicted - target)[on_gaussian].abs().max() < 0.1


def test_a_flat_map_pays_1_for_corners_anywhere() -> None:
    rows, columns = (torch.arange(size, dtype=torch.float32) for size in MAP)
    points = torch.cartesian_prod(columns, rows).reshape(-1, 8, 2)
    target = draw(points)
    assert coordinates(torch.zeros_like(target), target).item() == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("margin", [4.0, -0.5])
def test_perfect_coordinates_pay_nothing_also_at_the_border(margin: float) -> None:
    target = draw(places(8, margin))
    assert coordinates(target.clone(), target) == 0


@pytest.mark.parametrize(("sigma", "off", "slope"), [(1.5, 0.15, 0.6), (3.0, 0.05, 0.05)])
def test_the_soft_argmax_follows_the_centre_of_a_gaussian(sigma: float, off: float, slope: float) -> None:
    x = 20 + torch.arange(0, 1.04, 0.05)
    points = torch.stack([x, torch.full_like(x, 12.3)], dim=-1).unsqueeze(0)
    found = soft_argmax(draw(points, sigma))[0]
    assert (found - points[0]).abs().max() < off
    assert (found[:, 0].diff() / x.diff() - 1).abs().max() < slope


def test_an_error_is_paid_in_quarters_of_the_map() -> None:
    points = places(8, margin=8)
    moved = points + torch.tensor([2.0, 0.0])
    got = coordinates(draw(moved, 3.0), draw(points, 3.0)).item()
    assert got == pytest.approx(0.5 * 2 / (MAP[1] / 4), rel=0.02)


def test_coordinates_pull_towards_the_truth() -> None:
    points = places(2, margin=8)
    target = draw(points)
    predicted = draw(points + torch.tensor([0.7, -0.4])).requires_grad_()
    before = (soft_argmax(predicted) - points).abs().mean()
    (gradient,) = torch.autograd.grad(coordinates(predicted, target), predicted)
    assert gradient.isfinite().all()
    after = (soft_argmax(predicted - 5 * gradient) - points).abs().mean()
    assert after < 0.9 * before


def test_a_corner_that_is_not_drawn_has_no_loss() -> None:
    target = draw(places(2, margin=4))
    target[0, 2:] = 0
    predicted = torch.rand(target.shape, generator=torch.Generator().manual_seed(4)).requires_grad_()
    (gradient,) = torch.autograd.grad(coordinates(predicted, target), predicted)
    assert (gradient[0, 2:] == 0).all()
    assert (gradient[1].abs().amax((1, 2)) > 0).all()
    nothing = coordinates(predicted, torch.zeros_like(target))
    assert nothing == 0
    assert torch.autograd.grad(nothing, predicted)[0].isfinite().all()
