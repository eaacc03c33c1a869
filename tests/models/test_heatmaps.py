"""Corners to heatmaps and back: against a plain loop, and what must hold of the round trip."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from cardpose.common.packet import FLIP_INDEX, HIDDEN, NOT_LABELLED, NUM_CORNERS, VISIBLE
from cardpose.models.heatmaps import decode, encode, heatmap_to_image, image_to_heatmap

MAP = (12, 16)  # rows and columns of the heatmaps


def image_size(stride: int) -> tuple[int, int]:
    return MAP[0] * stride, MAP[1] * stride


def random_corners(batch: int, stride: int, margin: float = -0.5, seed: int = 0) -> Tensor:
    """(batch, 8, 2) image pixels, at least `margin` heatmap pixels inside the outermost pixels' centres."""
    generator = torch.Generator().manual_seed(seed)
    span = torch.tensor([MAP[1] - 1.0, MAP[0] - 1.0]) - 2 * margin
    points = margin + span * torch.rand(batch, NUM_CORNERS, 2, generator=generator)
    return heatmap_to_image(points, stride)


def visible(batch: int) -> Tensor:
    return torch.full((batch, NUM_CORNERS), VISIBLE)


def loop_encode(corners: np.ndarray, visibility: np.ndarray, stride: int, sigma: float, lowest: int):
    maps = np.zeros((*visibility.shape, *MAP))
    for b, c, row, column in np.ndindex(*maps.shape):
        if visibility[b, c] >= lowest:
            x, y = (corners[b, c] + 0.5) / stride - 0.5
            maps[b, c, row, column] = math.exp(-((column - x) ** 2 + (row - y) ** 2) / (2 * sigma**2))
    return maps


@pytest.mark.parametrize(("stride", "sigma"), [(1, 0.7), (2, 1.0), (4, 1.5), (8, 3.0)])
@pytest.mark.parametrize("render_hidden", [True, False])
def test_encode_equals_a_plain_loop(stride: int, sigma: float, render_hidden: bool) -> None:
    corners = random_corners(3, stride, margin=-2)
    visibility = torch.randint(0, 3, (3, NUM_CORNERS), generator=torch.Generator().manual_seed(1))
    assert set(visibility.flatten().tolist()) == {0, 1, 2}
    got = encode(
        corners,
        visibility,
        size=image_size(stride),
        stride=stride,
        sigma=sigma,
        render_hidden=render_hidden,
    )
    lowest = HIDDEN if render_hidden else VISIBLE
    want = loop_encode(corners.double().numpy(), visibility.numpy(), stride, sigma, lowest)
    assert got.dtype == torch.float32
    np.testing.assert_allclose(got.numpy(), want, atol=1e-6, rtol=0)


@pytest.mark.parametrize("stride", [1, 2, 4])
@pytest.mark.parametrize("sigma", [0.5, 1.0, 1.5, 3.0])
@pytest.mark.parametrize("batch", [1, 7, 64])
@pytest.mark.parametrize("margin", [1.0, -0.5], ids=["interior", "whole image"])
def test_round_trip(stride: int, sigma: float, batch: int, margin: float) -> None:
    corners = random_corners(batch, stride, margin)
    maps = encode(corners, visible(batch), size=image_size(stride), stride=stride, sigma=sigma)
    found, _ = decode(maps, stride=stride)
    assert (found - corners).abs().max() < 1e-4 * stride  # the promise is 0.1


@pytest.mark.parametrize("stride", [1, 2, 4])
def test_round_trip_on_the_image_border(stride: int) -> None:
    height, width = image_size(stride)
    xs, ys = (
        (-0.5, 0.0, width / 2, width - 1.0, width - 0.5),
        (-0.5, 0.0, height / 2, height - 1.0, height - 0.5),
    )
    corners = torch.tensor([(x, y) for x in xs for y in ys]).unsqueeze(0)
    maps = encode(
        corners, torch.full((1, len(xs) * len(ys)), VISIBLE), size=(height, width), stride=stride, sigma=1.5
    )
    found, _ = decode(maps, stride=stride)
    assert (found - corners).abs().max() < 1e-4 * stride


def test_a_corner_outside_is_found_at_the_nearest_edge_of_the_image() -> None:
    corners = torch.tensor([[[-3.0, 10.0], [66.0, 10.0], [20.0, -2.5], [20.0, 50.0]]])
    maps = encode(corners, torch.full((1, 4), VISIBLE), size=(48, 64), stride=4, sigma=1.5)
    found, height = decode(maps, stride=4)
    want = torch.tensor([[[-0.5, 10.0], [63.5, 10.0], [20.0, -0.5], [20.0, 47.5]]])
    torch.testing.assert_close(found, want, atol=1e-3, rtol=0)
    assert (height < 1).all()


@pytest.mark.parametrize("coordinate", [0.0, math.nan, math.inf, -math.inf, 1e38, -1e38])
@pytest.mark.parametrize("render_hidden", [True, False])
def test_a_corner_without_label_gives_a_map_of_zeros(coordinate: float, render_hidden: bool) -> None:
    corners = random_corners(2, 4)
    visibility = visible(2)
    missing = torch.zeros_like(visibility, dtype=torch.bool)
    missing[0, 3] = missing[1, :5] = True
    visibility[missing], corners[missing] = NOT_LABELLED, coordinate
    maps = encode(corners, visibility, size=image_size(4), stride=4, sigma=1.5, render_hidden=render_hidden)
    assert (maps[missing] == 0).all()
    assert (maps[~missing].amax((1, 2)) > 0.5).all()


def test_a_hidden_corner_is_drawn_only_on_request() -> None:
    corners = random_corners(2, 4)
    hidden = torch.full((2, NUM_CORNERS), HIDDEN)
    of = {"size": image_size(4), "stride": 4, "sigma": 1.5}
    drawn = encode(corners, visible(2), **of)
    assert torch.equal(encode(corners, hidden, render_hidden=True, **of), drawn)
    assert (encode(corners, hidden, render_hidden=False, **of) == 0).all()
    assert torch.equal(encode(corners, visible(2), render_hidden=False, **of), drawn)


@pytest.mark.parametrize("stride", [1, 2, 4])
def test_the_peak_is_1_where_a_pixel_is_centred_on_the_corner(stride: int) -> None:
    corners = heatmap_to_image(torch.tensor([[[5.0, 7.0], [0.0, 11.0]]]), stride)
    visibility = torch.full((1, 2), VISIBLE)
    maps = encode(corners, visibility, size=image_size(stride), stride=stride, sigma=1.5)
    assert maps[0, 0, 7, 5] == maps[0, 1, 11, 0] == 1
    assert maps.max() == 1
    assert decode(maps, stride=stride)[1].tolist() == [[1, 1]]


@pytest.mark.parametrize("stride", [1, 2, 3, 4, 8, 16])
def test_image_and_heatmap_pixels_are_inverse(stride: int) -> None:
    points = random_corners(4, stride, margin=-3).double()
    assert torch.equal(image_to_heatmap(points, stride), (points + 0.5) / stride - 0.5)
    torch.testing.assert_close(heatmap_to_image(image_to_heatmap(points, stride), stride), points)
    torch.testing.assert_close(image_to_heatmap(heatmap_to_image(points, stride), stride), points)


@pytest.mark.parametrize("batch", [2, 5, 17, 33])
def test_rows_do_not_depend_on_the_batch_they_are_in(batch: int) -> None:
    corners = random_corners(batch, 4)
    visibility = torch.randint(0, 3, (batch, NUM_CORNERS), generator=torch.Generator().manual_seed(batch))
    of = {"size": image_size(4), "stride": 4, "sigma": 1.3}
    maps = encode(corners, visibility, **of)
    found, height = decode(maps, stride=4)
    for i in range(batch):
        row = slice(i, i + 1)
        assert torch.equal(encode(corners[row], visibility[row], **of), maps[row])
        found_alone, height_alone = decode(maps[row], stride=4)
        assert torch.equal(found_alone, found[row])
        assert torch.equal(height_alone, height[row])


def assert_inside(corners: Tensor, size: tuple[int, int]) -> None:
    assert corners.isfinite().all()
    assert (corners >= -0.5).all()
    assert (corners <= torch.tensor([size[1], size[0]]) - 0.5).all()


@pytest.mark.parametrize("value", [-2.0, 0.0, 1e-9, 0.3, 1.0, 5.0])
def test_a_flat_map_gives_a_point_of_the_image(value: float) -> None:
    corners, height = decode(torch.full((2, NUM_CORNERS, *MAP), value), stride=4)
    assert_inside(corners, image_size(4))
    torch.testing.assert_close(height, torch.full((2, NUM_CORNERS), min(max(value, 0.0), 1.0)))


@pytest.mark.parametrize("scale", [1e-12, 1e-3, 1.0, 1e6])
def test_noise_gives_a_point_of_the_image(scale: float) -> None:
    noise = scale * torch.randn(16, NUM_CORNERS, *MAP, generator=torch.Generator().manual_seed(0))
    corners, height = decode(noise, stride=4)
    assert_inside(corners, image_size(4))
    assert ((height >= 0) & (height <= 1)).all()


def test_mirrored_corners_give_mirrored_maps() -> None:
    stride = 4
    height, width = image_size(stride)
    corners = random_corners(5, stride)
    visibility = torch.randint(0, 3, (5, NUM_CORNERS), generator=torch.Generator().manual_seed(3))
    swap = list(FLIP_INDEX)
    mirrored = torch.stack([width - 1 - corners[..., 0], corners[..., 1]], dim=-1)
    of = {"size": (height, width), "stride": stride, "sigma": 1.5, "render_hidden": False}
    got = encode(mirrored[:, swap], visibility[:, swap], **of)
    want = encode(corners, visibility, **of)[:, swap].flip(-1)
    torch.testing.assert_close(got, want, atol=1e-5, rtol=0)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_maps_are_decoded(dtype: torch.dtype) -> None:
    corners = random_corners(32, 4, margin=1)
    maps = encode(corners, visible(32), size=image_size(4), stride=4, sigma=1.5)
    found, height = decode(maps.to(dtype), stride=4)
    assert found.dtype == height.dtype == torch.float32
    assert (found - corners).abs().max() < 0.1 * 4


def test_slight_noise_moves_a_corner_by_less_than_a_pixel() -> None:
    corners = random_corners(32, 4, margin=1)
    maps = encode(corners, visible(32), size=image_size(4), stride=4, sigma=1.5)
    noise = 0.02 * torch.randn(maps.shape, generator=torch.Generator().manual_seed(0))
    found, _ = decode(maps + noise, stride=4)
    assert (found - corners).abs().max() < 4
