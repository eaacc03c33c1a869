"""timm's models behind `Encoder`, on a stand-in for timm, which the base install lacks."""

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from cardpose.common.errors import InputError
from cardpose.models.encoders.conv import ConvEncoder
from cardpose.models.encoders.timm_features import TimmFeatures

MODELS = {
    "resnet18": (2, 4, 8),
    "convnext_atto": (4, 8, 16),
    "vit_tiny": (16, 16, 16),
    "swin_tiny": (2, 4, 8),
}
"""Of the stand-in, with the strides that it claims."""


def create_model(name: str, pretrained: bool, features_only: bool) -> nn.Module:
    assert features_only
    assert not pretrained
    net: Any = ConvEncoder((4, 6, 8), (1, 1, 1))
    net.feature_info = SimpleNamespace(channels=lambda: [4, 6, 8], reduction=lambda: list(MODELS[name]))
    net.pretrained_cfg = {
        "mean": (0.5, 0.4, 0.3),
        "std": (0.2, 0.2, 0.1),
        "input_size": (3, 224, 224),
        "fixed_input_size": name.startswith("swin"),
    }
    return net


@pytest.fixture
def _timm(monkeypatch: pytest.MonkeyPatch) -> None:
    timm: Any = ModuleType("timm")
    timm.is_model = MODELS.__contains__
    timm.list_models = lambda: list(MODELS)
    timm.create_model = create_model
    monkeypatch.setitem(sys.modules, "timm", timm)


@pytest.mark.usefixtures("_timm")
def test_channels_strides_and_normalisation_are_the_models_own() -> None:
    encoder = TimmFeatures("resnet18", pretrained=False)
    assert encoder.channels == (4, 6, 8)
    assert encoder.strides == (2, 4, 8)
    assert encoder.mean == (0.5, 0.4, 0.3)
    assert encoder.std == (0.2, 0.2, 0.1)
    maps = encoder(torch.zeros(1, 3, 16, 24))
    assert [tuple(features.shape) for features in maps] == [(1, 4, 8, 12), (1, 6, 4, 6), (1, 8, 2, 3)]


@pytest.mark.usefixtures("_timm")
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("resnet81", r"model\.encoder\.name=resnet81: timm knows no such model: choose resnet18"),
        ("xyz", r"model\.encoder\.name=xyz: .*choose what timm\.list_models\(\) lists"),
        ("vit_tiny", r"model\.encoder\.name=vit_tiny: its maps have strides 16, 16, 16: choose a model"),
        ("swin_tiny", r"model\.encoder\.name=swin_tiny: takes images of \[224, 224\] only: choose another"),
    ],
)
def test_a_model_that_cannot_serve_is_named(name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        TimmFeatures(name, pretrained=False)


def test_without_timm_one_line_states_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(InputError, match=r'^model=unet_timm: .*pip install -e "\.\[timm\]"$'):
        TimmFeatures("resnet18", pretrained=False)


@pytest.mark.parametrize(
    "failure",
    [
        'ModuleNotFoundError("No module named torchvision")',
        'RuntimeError("operator torchvision::nms does not exist")',
        'OSError("libcudart.so.13: cannot open shared object file")',
    ],
)
def test_a_broken_torchvision_is_reported_with_its_own_words(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, failure: str
) -> None:
    (tmp_path / "timm.py").write_text(f"raise {failure}\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "timm", raising=False)
    words = failure.split('"')[1]
    with pytest.raises(InputError, match=rf"{words}: timm, with a torchvision made for torch 2.*\[timm\]"):
        TimmFeatures("resnet18", pretrained=False)
