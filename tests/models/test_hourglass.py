"""The stacked hourglass: shapes, predictions that are fed forward, where gradients go, and what the head reads."""

from functools import partial

import pytest
import torch
from hourglasses import HEIGHT, WIDTH, images, make_net, touched

from cardpose.common.errors import InputError
from cardpose.models.encoders.stem import HourglassStem
from cardpose.models.hourglass import HourglassDecoder


@pytest.mark.parametrize("stacks", [1, 2, 4])
@pytest.mark.parametrize("stride", [2, 4, 8])
def test_every_stack_gives_heatmaps(stacks: int, stride: int) -> None:
    output = make_net(stacks, stride)(images())
    assert output.heatmaps.shape == (2, 8, HEIGHT // stride, WIDTH // stride)
    assert output.intermediate.shape == (2, stacks - 1, 8, HEIGHT // stride, WIDTH // stride)
    assert output.cards.shape == (2,)


def test_the_first_stack_is_taught_by_its_own_heatmaps_and_those_behind_it() -> None:
    net = make_net(3)
    early = touched(net, net(images()).intermediate[:, 0].square().sum())
    assert "decoder.to_heatmaps.0.weight" in early
    assert not [name for name in early if ".1." in name.removeprefix("decoder.to")[:14] or "forward" in name]
    assert not [name for name in early if name.startswith(("decoder.hourglasses.1", "decoder.hourglasses.2"))]
    late = touched(net, net(images()).heatmaps.square().sum())
    for part in ("encoder", "decoder.hourglasses.0", "decoder.maps_forward.0", "decoder.to_heatmaps.0"):
        assert any(name.startswith(part) for name in late), part
    assert not any(name.startswith("head") for name in late)


def test_predictions_are_fed_forward() -> None:
    net = make_net(2).eval()
    before = net(images())
    net.decoder.to_heatmaps[0].bias.data += 1.0
    after = net(images())
    assert not torch.allclose(after.heatmaps, before.heatmaps)


def test_the_count_reads_the_last_stack_and_leaves_its_heatmaps_alone() -> None:
    net = make_net(2)
    output = net(images())
    taught = touched(net, output.cards.sum() + output.visibility.sum())
    assert any(name.startswith("decoder.hourglasses.1.middle") for name in taught)
    assert "decoder.to_heatmaps.1.weight" not in taught  # detached
    assert not any(name.startswith("decoder.hourglasses.1.up") for name in taught)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: make_net(0), r"model\.decoder\.stacks=0: choose a whole number from 1"),
        (lambda: make_net(depth=0), r"model\.decoder\.depth=0"),
        (lambda: make_net(stride=3), r"heatmap\.stride=3: .*choose one"),
        (lambda: HourglassStem(7, 4), r"model\.encoder\.width=7: choose a multiple of 4"),
        (lambda: HourglassDecoder([4, 8], [2, 4], 1, 1), r"needs an encoder of one feature map"),
    ],
)
def test_values_out_of_range_are_one_line(make: partial, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()
