"""The network: shapes, where gradients go, and what it says before it has learned anything."""

from collections.abc import Callable, Iterable
from functools import partial

import pytest
import torch
from poses import look
from torch import Tensor, nn
from torch.nn import functional as F

from cardpose.common.errors import InputError
from cardpose.common.packet import CARDS_PER_DECK
from cardpose.geometry.box_fit import PHONE_FOCAL, BoxFit, project
from cardpose.models.counts import CountHead, Distribution, Regression
from cardpose.models.decoder import UNetDecoder
from cardpose.models.encoders.conv import ConvEncoder
from cardpose.models.head import (
    CARD_MM,
    BoxFeatures,
    CountVisibilityHead,
    HeatmapFeatures,
    NoFeatures,
    PooledFeatures,
    ThicknessFeatures,
)
from cardpose.models.heatmaps import encode
from cardpose.models.unet import UNet

HEIGHT, WIDTH = 64, 96
BOX, POOLED = BoxFeatures(found=0.3, tolerance=0.024), PooledFeatures((3, 4))


COUNT_HEADS = (Regression, partial(Distribution, sigma=1.0))
COUNT_HEAD_NAMES = ("regression", "distribution")


def make_net(
    stride: int = 4,
    seed: int = 0,
    heatmap_features: HeatmapFeatures = BOX,
    count_head: CountHead | None = None,
    detach: bool = True,
) -> UNet:
    torch.manual_seed(seed)
    decoder = partial(UNetDecoder, stride=stride, width=4, max_width=8)
    head = partial(
        CountVisibilityHead,
        heatmap_features=heatmap_features,
        count_head=count_head,
        hidden=16,
        detach=detach,
    )
    return UNet(ConvEncoder((4, 6, 8, 10, 12), (1, 1, 2, 1, 1)), decoder, head)


def images(rows: int = 2) -> Tensor:
    return torch.randn(rows, 3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(0))


def learned(parameters: Iterable[nn.Parameter]) -> list[bool]:
    """Which parameters got a gradient that is not zero."""
    return [p.grad is not None and bool(torch.count_nonzero(p.grad)) for p in parameters]


@pytest.mark.parametrize("stride", [2, 4, 8, 16])
def test_outputs_have_their_shapes_at_every_heatmap_stride(stride: int) -> None:
    output = make_net(stride)(images())
    assert output.heatmaps.shape == (2, 8, HEIGHT // stride, WIDTH // stride)
    assert output.cards.shape == (2,)
    assert output.visibility.shape == (2, 8)


def test_the_encoder_declares_its_channels_and_strides_truly() -> None:
    encoder = make_net().encoder
    for features, channels, stride in zip(encoder(images()), encoder.channels, encoder.strides, strict=True):
        assert features.shape == (2, channels, HEIGHT // stride, WIDTH // stride)


def of_the_count(net: UNet) -> Tensor:
    """What a loss of count and visibility could see."""
    nn.init.normal_(net.decoder.to_heatmaps.weight)
    output = net(images())
    return output.cards.sum() + output.count_logits.square().sum() + output.visibility.sum()


@pytest.mark.parametrize("make_count_head", COUNT_HEADS, ids=COUNT_HEAD_NAMES)
@pytest.mark.parametrize("heatmap_features", [BOX, POOLED], ids=["box", "pooled"])
def test_the_count_never_bends_the_heatmaps_but_teaches_the_encoder(
    heatmap_features: HeatmapFeatures, make_count_head: Callable[[], CountHead]
) -> None:
    net = make_net(heatmap_features=heatmap_features, count_head=make_count_head())
    of_the_count(net).backward()
    assert not any(learned(net.decoder.parameters()))
    assert all(learned(net.encoder.parameters()))


@pytest.mark.parametrize("make_count_head", COUNT_HEADS, ids=COUNT_HEAD_NAMES)
@pytest.mark.parametrize("heatmap_features", [BOX, POOLED], ids=["box", "pooled"])
def test_the_count_bends_the_heatmaps_where_they_are_not_detached(
    heatmap_features: HeatmapFeatures, make_count_head: Callable[[], CountHead]
) -> None:
    net = make_net(heatmap_features=heatmap_features, count_head=make_count_head(), detach=False)
    of_the_count(net).backward()
    assert all(learned(net.decoder.parameters()))


@pytest.mark.parametrize("detach", [True, False])
def test_without_the_heatmaps_the_count_is_left_with_the_encoder(detach: bool) -> None:
    net = make_net(heatmap_features=NoFeatures(), detach=detach)
    of_the_count(net).backward()
    assert not any(learned(net.decoder.parameters()))
    assert all(learned(net.encoder.parameters()))


def test_the_count_of_thickness_is_a_line_of_it_alone() -> None:
    """Heatmaps of boxes of known thickness, seen from 35 degrees above and 30 beside; the head is untrained."""
    thickness = torch.tensor([3.0, 9.0, 15.6])
    pose = look(*torch.deg2rad(torch.tensor([[30.0] * 3, [35.0] * 3])), torch.full((3,), 250.0))
    unknown = torch.zeros(3)
    box = BoxFit(thickness, *pose, unknown, unknown, unknown)
    corners = project(box, PHONE_FOCAL * 256, (127.5, 95.5))
    maps = encode(corners, torch.full((3, 8), 2), size=(192, 256), stride=1, sigma=2.0)
    head = CountVisibilityHead(4, ThicknessFeatures(found=0.3, tolerance=0.024), hidden=16).eval()
    counts = [CARDS_PER_DECK * head(torch.randn(3, 4, 2, 3), maps)[0].cards for _ in range(2)]
    assert torch.equal(*counts)  # whatever the deepest features are
    torch.testing.assert_close(counts[0], thickness / CARD_MM, atol=0.5, rtol=0)


@pytest.mark.parametrize("fill", [0.0, 1.0])
def test_heatmaps_that_make_no_box_have_a_gradient_without_nan(fill: float) -> None:
    head = CountVisibilityHead(4, BOX, hidden=16, detach=False)
    nn.init.ones_(head.straight.weight)  # type: ignore[union-attr]
    maps = torch.full((2, 8, 12, 16), fill)
    maps[1, :3, 5, 7] = 0.5  # three corners in one place
    maps.requires_grad_()
    head(torch.zeros(2, 4, 2, 3), maps)[0].cards.sum().backward()
    assert maps.grad is not None
    assert maps.grad.isfinite().all()


def test_the_count_is_computed_in_float32_under_autocast() -> None:
    head = CountVisibilityHead(4, ThicknessFeatures(found=0.3, tolerance=0.024), hidden=16).eval()
    maps, deepest = torch.rand(2, 8, 12, 16), torch.randn(2, 4, 2, 3)
    (count, visibility), alone = head(deepest.bfloat16().float(), maps), maps.clone()
    with torch.autocast("cpu", torch.bfloat16):
        under, seen = head(deepest.bfloat16(), alone)
    assert under.cards.dtype == seen.dtype == torch.float32
    torch.testing.assert_close(under.cards, count.cards)
    torch.testing.assert_close(seen, visibility)


def test_detach_is_true_or_false() -> None:
    with pytest.raises(InputError, match=r"model\.head\.detach=no: choose true or false"):
        CountVisibilityHead(4, BOX, detach="no")  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [(48, 64), (7, 9), (5, 70)])
@pytest.mark.parametrize("grid", [(12, 16), (7, 3), (1, 1)])
def test_pooled_heatmaps_are_the_adaptive_maxima(size: tuple[int, int], grid: tuple[int, int]) -> None:
    maps = torch.randn(2, 8, *size, generator=torch.Generator().manual_seed(0))
    assert torch.equal(PooledFeatures(grid)(maps), F.adaptive_max_pool2d(maps, grid).flatten(1))


def test_the_heatmaps_do_not_teach_the_head() -> None:
    net = make_net()
    net(images()).heatmaps.square().sum().backward()
    assert not any(learned(net.head.parameters()))
    assert all(learned(net.encoder.parameters()))


@pytest.mark.parametrize("heatmap_features", [BOX, POOLED], ids=["box", "pooled"])
def test_the_count_depends_on_the_heatmaps(heatmap_features: HeatmapFeatures) -> None:
    head = CountVisibilityHead(4, heatmap_features, hidden=16).eval()
    deepest, maps = torch.zeros(1, 4, 2, 3), torch.zeros(1, 8, 12, 16)
    before = head(deepest, maps)
    maps[0, 3, 5, 7] = 1.0
    assert not torch.equal(head(deepest, maps)[0].cards, before[0].cards)


@pytest.mark.parametrize("make_count_head", COUNT_HEADS, ids=COUNT_HEAD_NAMES)
def test_an_untrained_network_states_empty_maps_and_half_a_deck(
    make_count_head: Callable[[], CountHead],
) -> None:
    output = make_net(count_head=make_count_head()).eval()(images(8))
    assert output.heatmaps.abs().max() < 0.05
    assert (output.cards - 0.5).abs().max() < 0.4


@pytest.mark.parametrize("make_count_head", COUNT_HEADS, ids=COUNT_HEAD_NAMES)
def test_calibration_scales_count_and_spread(make_count_head: Callable[[], CountHead]) -> None:
    net = make_net(count_head=make_count_head()).eval()
    before = net(images())
    net.head.calibration.copy_(torch.tensor([1.25, -0.1]))
    after = net(images())
    torch.testing.assert_close(after.cards, 1.25 * before.cards - 0.1)
    torch.testing.assert_close(after.cards_std, 1.25 * before.cards_std, equal_nan=True)
    assert torch.equal(after.count_logits, before.count_logits)


def test_a_regression_has_the_weights_that_it_had_before_there_was_a_choice() -> None:
    head = CountVisibilityHead(4, BOX, hidden=16)
    assert {name: tuple(value.shape) for name, value in head.state_dict().items()} == {
        "layers.0.weight": (16, 4 + BOX.size),
        "layers.0.bias": (16,),
        "layers.3.weight": (16, 16),
        "layers.3.bias": (16,),
        "layers.6.weight": (9, 16),
        "layers.6.bias": (9,),
        "straight.weight": (1, BOX.size),
        "calibration": (2,),
    }


@pytest.mark.parametrize("make_count_head", COUNT_HEADS, ids=COUNT_HEAD_NAMES)
def test_a_prediction_does_not_depend_on_its_batch(make_count_head: Callable[[], CountHead]) -> None:
    net = make_net(count_head=make_count_head()).eval()
    together = net(images(5))
    for row in range(5):
        alone = net(images(5)[row : row + 1])
        for part, whole in zip(alone, together, strict=True):
            torch.testing.assert_close(part, whole[row : row + 1], rtol=1e-4, atol=1e-5, equal_nan=True)


def test_the_same_seed_gives_the_same_weights_and_another_seed_others() -> None:
    first, second, other = (make_net(seed=seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(value, second[key]) for key, value in first.items())
    assert not torch.equal(first["head.layers.0.weight"], other["head.layers.0.weight"])


def test_the_memory_format_changes_nothing() -> None:
    net = make_net().eval()
    plain = net(images())
    net = net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    for part, expected in zip(
        net(images().contiguous(memory_format=torch.channels_last)), plain, strict=True
    ):
        torch.testing.assert_close(part, expected, rtol=1e-4, atol=1e-5, equal_nan=True)


@pytest.mark.parametrize("stride", [1, 3, 32])
def test_a_heatmap_stride_that_the_encoder_does_not_have_names_the_choices(stride: int) -> None:
    with pytest.raises(InputError, match=r"heatmap\.stride=.*2 or 4 or 8 or 16"):
        make_net(stride)


def test_widths_and_depths_must_fit() -> None:
    with pytest.raises(InputError, match=r"model\.encoder\.widths"):
        ConvEncoder((4, 8), (1,))


def test_the_gradient_of_the_upsampling_is_the_same_in_both_memory_formats() -> None:
    gradients = []
    for memory_format in (torch.contiguous_format, torch.channels_last):
        net = make_net().to(memory_format=memory_format)  # type: ignore[call-overload]
        output = net(images().contiguous(memory_format=memory_format))
        output.heatmaps.square().sum().backward()
        gradients.append([p.grad for module in (net.encoder, net.decoder.joins) for p in module.parameters()])
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-6)
