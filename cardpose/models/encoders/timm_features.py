"""Any model of timm that returns a pyramid of feature maps (extra "timm")."""

from difflib import get_close_matches
from types import ModuleType

import torch
from torch import Tensor

from cardpose.common.errors import InputError, needs_extra
from cardpose.models.encoders.base import Encoder


def import_timm() -> ModuleType:
    """Import timm.

    Raises:
        InputError: timm, or the torchvision that it imports, is missing or built for another torch.
    """
    try:
        import timm
    except (ImportError, OSError, RuntimeError) as error:
        what = f"model=unet_timm: {error}: timm, with a torchvision made for torch {torch.__version__},"
        raise needs_extra(what, "timm") from None
    return timm


class TimmFeatures(Encoder):
    """A model of timm with features_only=True.

    Args:
        name: timm's name of the model.
        pretrained: whether to download its weights.

    Raises:
        InputError: timm is not installed or has no such model; the strides of the model's maps do not double, or it
            accepts one image size only.
    """

    def __init__(self, name: str, pretrained: bool) -> None:
        super().__init__()
        timm = import_timm()
        if not timm.is_model(name):
            close = get_close_matches(name, timm.list_models()) or ["what timm.list_models() lists"]
            raise InputError(
                f"model.encoder.name={name}: timm knows no such model: choose {', '.join(close)}"
            )
        self.net = timm.create_model(name, pretrained=pretrained, features_only=True)
        self.channels = tuple(self.net.feature_info.channels())
        self.strides = tuple(self.net.feature_info.reduction())
        if any(after != 2 * before for before, after in zip(self.strides, self.strides[1:], strict=False)):
            raise InputError(
                f"model.encoder.name={name}: its maps have strides {', '.join(map(str, self.strides))}: choose a "
                "model whose maps halve, such as resnet18"
            )
        if self.net.pretrained_cfg.get("fixed_input_size"):
            size = list(self.net.pretrained_cfg["input_size"][1:])
            raise InputError(f"model.encoder.name={name}: takes images of {size} only: choose another model")
        self.mean, self.std = (tuple(self.net.pretrained_cfg[key]) for key in ("mean", "std"))

    def forward(self, image: Tensor) -> list[Tensor]:
        """See `Encoder.forward`."""
        return self.net(image)
