"""The ways to find a peak: how exact each is on Gaussians, clean and noisy, at borders and in pairs.

All errors are in heatmap pixels, each way. The bounds are what was measured, rounded up.
"""

import math

import pytest
import torch
from torch import Tensor

from cardpose.common.errors import InputError
from cardpose.common.packet import NUM_CORNERS, VISIBLE
from cardpose.models.heatmaps import decode, encode, heatmap_to_image
from cardpose.models.peaks import locator

MAP = (32, 48)  # rows and columns
WAYS = ("argmax", "quadratic", "dark", "softargmax")
SIGMAS = (1.5, 3.0)  # of heatmap=default and heatmap=fine


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def inside(batch: int, seed: int = 0, margin: float = 9.0) -> Tensor:
    """(batch, 8, 2) heatmap pixels, at least `margin` inside the outermost pixels' centres."""
    span = torch.tensor([MAP[1] - 1.0, MAP[0] - 1.0]) - 2 * margin
    return margin + span * torch.rand(batch, NUM_CORNERS, 2, generator=generator(seed))


def at_borders(batch: int) -> Tensor:
    """(batch, 8, 2) heatmap pixels, all within two pixels of the image's edge, corners included."""
    points = inside(batch, margin=-0.5)
    near = 2 * torch.rand(points.shape, generator=generator(1)) - 0.5
    far = torch.tensor([MAP[1] - 1.0, MAP[0] - 1.0]) - near
    side = torch.randint(0, 3, points.shape, generator=generator(2))  # each way: near, far, anywhere
    side[..., 0].masked_fill_((side == 2).all(-1), 0)
    return torch.where(side == 0, near, torch.where(side == 1, far, points))


def draw(points: Tensor, sigma: float, stride: int = 1) -> Tensor:
    return encode(
        heatmap_to_image(points, stride),
        torch.full(points.shape[:2], VISIBLE),
        size=(MAP[0] * stride, MAP[1] * stride),
        stride=stride,
        sigma=sigma,
    )


def noisy(maps: Tensor) -> Tensor:
    return maps + 0.02 * torch.randn(maps.shape, generator=generator(3))


def errors(way: str, maps: Tensor, points: Tensor, sigma: float) -> Tensor:
    return decode(maps, stride=1, locate=locator(way, sigma))[0] - points


CLEAN = {"argmax": 0.5, "quadratic": 1e-3, "dark": 1e-3, "softargmax": 0.012}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("sigma", SIGMAS)
def test_a_clean_peak_is_found(way: str, sigma: float) -> None:
    points = inside(64)
    error = errors(way, draw(points, sigma), points, sigma)
    assert error.abs().max() <= CLEAN[way]
    assert error.mean((0, 1)).abs().max() < 0.1 * CLEAN[way]


NOISE = {  # sigma: largest and root mean square error
    "argmax": {1.5: (0.8, 0.30), 3.0: (1.6, 0.40)},
    "quadratic": {1.5: (0.3, 0.06), 3.0: (1.1, 0.20)},
    "dark": {1.5: (0.1, 0.02), 3.0: (0.1, 0.02)},
    "softargmax": {1.5: (0.1, 0.02), 3.0: (0.12, 0.025)},
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("sigma", SIGMAS)
def test_noise_moves_a_peak_by_little_and_not_to_one_side(way: str, sigma: float) -> None:
    points = inside(64)
    error = errors(way, noisy(draw(points, sigma)), points, sigma)
    largest, spread = NOISE[way][sigma]
    assert error.abs().max() < largest
    assert error.square().mean().sqrt() < spread
    assert error.mean((0, 1)).abs().max() < 5 * spread / math.sqrt(error[..., 0].numel())


BORDER = {"argmax": 0.5, "quadratic": 1e-3, "dark": 1e-3, "softargmax": 0.5}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("sigma", SIGMAS)
def test_a_peak_at_the_border_is_found(way: str, sigma: float) -> None:
    points = at_borders(64)
    error = errors(way, draw(points, sigma), points, sigma)
    assert error.abs().max() <= BORDER[way] + 1e-5
    assert error.mean((0, 1)).abs().max() < 0.05  # no border draws the peaks of both sides inwards alike
    left, right = points[..., 0] < 2, points[..., 0] > MAP[1] - 3
    assert abs(error[left][:, 0].mean() - error[right][:, 0].mean()) < 0.15


PAIR = {"argmax": 1.2, "quadratic": 0.7, "dark": 1.0, "softargmax": 1.0}


@pytest.mark.parametrize("way", WAYS)
def test_of_two_peaks_3_pixels_apart_the_higher_one_is_found(way: str) -> None:
    points = inside(64)
    angle = 2 * math.pi * torch.rand(points.shape[:2], generator=generator(4))
    lower = points + 3 * torch.stack([angle.cos(), angle.sin()], dim=-1)
    maps = draw(points, 1.5) + 0.6 * draw(lower, 1.5)
    found = errors(way, maps, points, 1.5) + points
    to_higher, to_lower = (torch.linalg.vector_norm(found - peak, dim=-1) for peak in (points, lower))
    assert (to_higher < to_lower).all()
    assert (
        to_higher.max() < PAIR[way]
    )  # the flank of the lower one shifts the sum's own maximum by half a pixel
    assert (found - points).mean((0, 1)).abs().max() < 0.1


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("stride", "sigma"), [(2, 3.0), (4, 1.5)])
def test_round_trip(way: str, stride: int, sigma: float) -> None:
    points = inside(16)
    found, heights = decode(draw(points, sigma, stride), stride=stride, locate=locator(way, sigma))
    assert (found - heatmap_to_image(points, stride)).abs().max() <= CLEAN[way] * stride
    assert ((heights > 0.9) & (heights <= 1)).all()


@pytest.mark.parametrize("way", WAYS)
def test_a_row_does_not_depend_on_its_batch(way: str) -> None:
    maps = noisy(torch.cat([draw(inside(8), 1.5), draw(at_borders(8), 1.5)]))
    locate = locator(way, 1.5)
    together = decode(maps, stride=4, locate=locate)
    for i in range(len(maps)):
        for alone, whole in zip(decode(maps[i : i + 1], stride=4, locate=locate), together, strict=True):
            torch.testing.assert_close(alone, whole[i : i + 1], rtol=0, atol=1e-4)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("scale", [0.0, 1e-12, 1e-3, 1.0, 1e6])
def test_any_map_gives_a_point_of_the_image(way: str, scale: float) -> None:
    maps = scale * torch.randn(16, NUM_CORNERS, *MAP, generator=generator(0))
    for values in (maps, -maps.abs() - 1, torch.full_like(maps, scale)):
        corners, heights = decode(values, stride=4, locate=locator(way, 1.5))
        assert corners.isfinite().all()
        assert (corners >= -0.5).all()
        assert (corners <= 4 * torch.tensor([MAP[1], MAP[0]]) - 0.5).all()
        assert ((heights >= 0) & (heights <= 1)).all()


@pytest.mark.parametrize("way", WAYS)
def test_a_mirrored_map_gives_the_mirrored_point(way: str) -> None:
    points = torch.cat([inside(8), at_borders(8)])
    maps = draw(points, 1.5)
    found = errors(way, maps, points, 1.5) + points
    mirrored = errors(way, maps.flip(-1), points, 1.5) + points
    torch.testing.assert_close(mirrored[..., 1], found[..., 1], rtol=0, atol=1e-3)
    torch.testing.assert_close(MAP[1] - 1 - mirrored[..., 0], found[..., 0], rtol=0, atol=1e-3)


@pytest.mark.parametrize("way", WAYS)
def test_autocast_costs_no_digits(way: str) -> None:
    points = inside(8)
    maps = draw(points, 1.5)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        error = errors(way, maps, points, 1.5)
    assert error.dtype == torch.float32
    assert error.abs().max() <= CLEAN[way]


def test_an_unknown_name_lists_the_choices() -> None:
    with pytest.raises(InputError, match=r"heatmap\.decode=drak: choose argmax, quadratic, dark, softargmax"):
        locator("drak", 1.5)
