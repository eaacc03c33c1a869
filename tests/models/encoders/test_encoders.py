"""Every encoder of conf/model keeps what `Encoder` promises; the published ones are the published networks."""

from collections.abc import Callable

import pytest
import torch
from hydra import compose, initialize_config_dir
from torch import Tensor, nn

from cardpose.common.errors import InputError, MissingExtra
from cardpose.common.hydra_entry import CONF, plain
from cardpose.models.builder import build
from cardpose.models.encoders.base import Encoder, LevelEncoder
from cardpose.models.encoders.conv import ConvEncoder
from cardpose.models.encoders.mobilenetv3 import MobileNetV3

HEIGHT, WIDTH = 64, 96
CHOICES = sorted(file.stem for file in (CONF / "model").glob("[!_]*.yaml"))
PUBLISHED = {
    "small": (
        927_008,
        96,
        576,
    ),  # parameters of torchvision's `features`; the last 1x1 convolution, left out here
    "large": (2_971_952, 160, 960),
}


@pytest.fixture(scope="module", params=CHOICES)
def encoder(request: pytest.FixtureRequest, missing_extra: Callable[[Exception], str]) -> Encoder:
    """The encoder of each choice, from random weights; one whose library is not installed is skipped."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        chosen = compose("train", [f"model={request.param}"]).model.encoder
    if "pretrained" in chosen:
        chosen.pretrained = False
    torch.manual_seed(0)
    try:
        return build(plain(chosen), "model.encoder")
    except MissingExtra as error:
        pytest.skip(missing_extra(error))


def images(rows: int = 2) -> Tensor:
    return torch.randn(rows, 3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(0))


def test_channels_and_strides_are_declared_truly(encoder: Encoder) -> None:
    for features, channels, stride in zip(
        encoder.eval()(images()), encoder.channels, encoder.strides, strict=True
    ):
        assert features.shape == (2, channels, HEIGHT // stride, WIDTH // stride)
    assert all(
        after == 2 * before for before, after in zip(encoder.strides, encoder.strides[1:], strict=False)
    )


def test_all_maps_together_teach_every_parameter(encoder: Encoder) -> None:
    encoder.train().zero_grad()
    generator = torch.Generator().manual_seed(1)
    features = encoder(images())
    sum((torch.randn(f.shape, generator=generator) * f).sum() for f in features).backward()  # type: ignore[union-attr]
    untaught = {
        name for name, p in encoder.named_parameters() if p.grad is None or not torch.count_nonzero(p.grad)
    }
    assert untaught == {name for name, p in encoder.named_parameters() if not p.requires_grad}


def test_an_image_does_not_depend_on_its_batch(encoder: Encoder) -> None:
    together = encoder.eval()(images(3))
    for row in range(3):
        for alone, whole in zip(encoder(images(3)[row : row + 1]), together, strict=True):
            torch.testing.assert_close(alone, whole[row : row + 1], rtol=1e-4, atol=1e-5)


def test_it_exports_with_any_number_of_images(encoder: Encoder) -> None:
    shapes = ({0: torch.export.Dim("rows")},)
    program = torch.export.export(encoder.eval(), (images(2),), dynamic_shapes=shapes).module()
    for exported, own in zip(program(images(3)), encoder(images(3)), strict=True):
        torch.testing.assert_close(exported, own, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("size", PUBLISHED)
def test_mobilenetv3_has_the_published_parameters(size: str) -> None:
    published, deepest, last = PUBLISHED[size]
    left_out = nn.Sequential(nn.Conv2d(deepest, last, 1, bias=False), nn.BatchNorm2d(last))
    own = sum(p.numel() for part in (MobileNetV3(size), left_out) for p in part.parameters())
    assert own == published


def test_a_level_without_a_convolution_is_refused() -> None:
    with pytest.raises(InputError, match=r"depths=\[1, 0\]: choose whole numbers from 1"):
        ConvEncoder([4, 8], [1, 0])


def test_an_unknown_size_names_the_choices() -> None:
    with pytest.raises(InputError, match=r"model\.encoder\.size=tiny: choose small or large"):
        MobileNetV3("tiny")


def test_frozen_levels_never_leave_evaluation_mode() -> None:
    levels = [nn.Sequential(nn.Conv2d(3, 3, 1, stride=2), nn.BatchNorm2d(3)) for _ in range(3)]
    encoder = LevelEncoder(levels, [3, 3, 3], frozen_levels=2)
    for _ in range(2):  # as it is built, which is how Lightning trains it, and after `train`
        assert [level.training for level in encoder.levels] == [False, False, True]
        assert [any(p.requires_grad for p in level.parameters()) for level in levels] == [False, False, True]
        encoder.train()
