"""Spatial models: message passing against a sum written out, where priors start, what the box weighs down."""

import math

import pytest
import torch
from hourglasses import images, make_net, touched
from poses import look
from torch import Tensor
from torch.nn import functional as F

from cardpose.common.errors import InputError
from cardpose.geometry.box_fit import PHONE_FOCAL, BoxFit, project
from cardpose.models.heatmaps import decode, encode
from cardpose.models.spatial import FLOOR, PAIRS, BoxPrior, GraphicalModel

ROWS, COLUMNS = 6, 8


def random_model(pool: int = 1, stride: int = 1, joint: bool = True) -> GraphicalModel:
    """Random priors for maps of 6x8 messages."""
    size = (ROWS * stride * pool, COLUMNS * stride * pool)
    model = GraphicalModel(size, stride, pool, background=0.05, joint=joint)
    torch.manual_seed(1)
    with torch.no_grad():
        model.kernels.normal_()
        model.background.normal_()
    return model


def maps(rows: int = 2, height: int = ROWS, width: int = COLUMNS) -> Tensor:
    return torch.randn(rows, 8, height, width, generator=torch.Generator().manual_seed(2))


def test_message_passing_is_the_sum_of_the_paper() -> None:
    model, given = random_model().double(), maps(1).double()
    model.requires_grad_(False)
    result = model(given)[0]
    own, kernels = given[0].clamp_min(0), F.softplus(model.kernels)[:, 0]
    context = torch.zeros(8, ROWS, COLUMNS, dtype=torch.float64)
    for pair, (other, corner) in enumerate(PAIRS):
        for row in range(ROWS):
            for column in range(COLUMNS):
                sent = F.softplus(model.background[pair])
                for r in range(ROWS):
                    for c in range(COLUMNS):
                        prior = kernels[pair, row - r + ROWS - 1, column - c + COLUMNS - 1]
                        sent = sent + prior * own[other, r, c]
                context[corner, row, column] += math.log(max(float(sent), FLOOR))
    expected = own * (context - context.amax((1, 2), keepdim=True)).exp()
    torch.testing.assert_close(result, expected)


def test_untrained_priors_of_evenly_spread_offsets_keep_the_peaks() -> None:
    given = maps().abs()
    corrected = GraphicalModel((ROWS, COLUMNS), 1, 1, background=0.05)(given)
    assert torch.equal(corrected.flatten(2).argmax(-1), given.flatten(2).argmax(-1))


@pytest.mark.parametrize("pool", [1, 2, 4])
def test_priors_of_the_labels_choose_the_peak_that_fits_the_others(pool: int) -> None:
    """Corner 3 has a higher peak at a place where the labels never have it."""
    size, stride = (96, 128), 4
    offsets = torch.tensor([[0, 0], [30, 0], [0, 20], [30, 20], [2, 8], [32, 8], [2, 28], [32, 28]]).float()
    places = (
        torch.rand(200, 1, 2, generator=torch.Generator().manual_seed(0)) * torch.tensor([80.0, 50.0]) + 8
    )
    model = GraphicalModel(size, stride, pool, background=0.05)
    model.start_from(places + offsets, torch.ones(200, 8, dtype=torch.bool))
    corners = torch.tensor([40.0, 30.0]) + offsets
    right = encode(corners[None], torch.full((1, 8), 2), size=size, stride=stride, sigma=1.0)
    wrong = corners.clone()
    wrong[3] = torch.tensor([110.0, 84.0])
    given = 0.8 * right
    given[:, 3] += encode(wrong[None], torch.full((1, 8), 2), size=size, stride=stride, sigma=1.0)[:, 3]
    assert (decode(given, stride=stride)[0][0, 3] - corners[3]).norm() > 50
    at, heights = decode(model(given), stride=stride)
    assert (at[0] - corners).norm(dim=-1).max() < stride
    assert heights.min() > 0.5


@pytest.mark.parametrize("joint", [True, False])
def test_what_the_spatial_model_teaches(joint: bool) -> None:
    model = GraphicalModel((64, 96), 4, 2, background=0.05, joint=joint)
    net = make_net(2, spatial=model).train()
    torch.nn.init.normal_(net.decoder.to_heatmaps[-1].weight)
    output = net(images())
    assert output.intermediate.shape[1] == 2  # the first stack, and what the spatial model was given
    taught = touched(net, output.heatmaps.square().sum())
    assert {"spatial.kernels", "spatial.background"} <= taught
    assert any(name.startswith("encoder") for name in taught) == joint
    assert net.encoder.training == net.decoder.training == joint


def test_the_heatmaps_before_it_do_not_teach_the_spatial_model() -> None:
    net = make_net(1, spatial=GraphicalModel((64, 96), 4, 2, background=0.05))
    assert not any(name.startswith("spatial") for name in touched(net, net(images()).intermediate.sum()))


def box_corners() -> Tensor:
    """(1, 8, 2) of a packet of 9 mm seen from the front above, in pixels of 64x48."""
    pose = look(*torch.deg2rad(torch.tensor([[30.0], [35.0]])), torch.tensor([250.0]))
    unknown = torch.zeros(1)
    box = BoxFit(torch.tensor([9.0]), *pose, *[unknown] * 3)
    return project(box, PHONE_FOCAL * 64, (31.5, 23.5))


def test_the_box_weighs_down_what_does_not_fit_it() -> None:
    corners = box_corners()
    given = encode(corners, torch.full((1, 8), 2), size=(48, 64), stride=1, sigma=1.5)
    prior = BoxPrior(found=0.3, tolerance=0.024, reach=0.06)
    same, heights = decode(prior(given), stride=1)
    assert (same - corners).norm(dim=-1).max() < 0.1
    assert heights.min() > 0.8
    away = encode(torch.full((1, 8, 2), 4.0), torch.full((1, 8), 2), size=(48, 64), stride=1, sigma=1.5)
    given[:, 2] = 0.9 * given[:, 2] + away[:, 2]
    assert (decode(given, stride=1)[0][0, 2] - 4).norm() < 1
    assert (decode(prior(given), stride=1)[0][0, 2] - corners[0, 2]).norm() < 0.5


def test_without_a_box_the_heatmaps_stay() -> None:
    prior, empty = BoxPrior(found=0.3, tolerance=0.024, reach=0.06), torch.zeros(2, 8, 48, 64)
    empty[1, :, 5, 7] = 1.0
    empty[0, :3, 5, 7] = 1.0
    assert torch.equal(prior(empty)[0], empty[0])
    assert prior(empty).isfinite().all()


def test_no_gradient_flows_through_the_box() -> None:
    given = encode(box_corners(), torch.full((1, 8), 2), size=(48, 64), stride=1, sigma=1.5).requires_grad_()
    prior = BoxPrior(found=0.3, tolerance=0.024, reach=0.06)
    prior(given).sum().backward()
    assert given.grad is not None
    torch.testing.assert_close(given.grad, prior.weights(given.detach()))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"pool": 0}, r"spatial\.pool=0: choose a whole number from 1"),
        ({"background": 0}, r"spatial\.background=0: choose a number above 0"),
        ({"joint": 1}, r"spatial\.joint=1: choose true or false"),
    ],
)
def test_values_out_of_range_are_one_line(wrong: dict[str, int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        GraphicalModel(**{"size": (6, 8), "stride": 1, "pool": 1, "background": 0.1} | wrong)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"spatial\.reach=0"):
        BoxPrior(0.3, 0.024, 0)
