"""Network and decoder of a configuration."""

from pathlib import Path
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import DictConfig

from cardpose.common.errors import InputError
from cardpose.common.hydra_entry import CONF, plain
from cardpose.models.from_config import end_to_end

MODELS = ("unet", "unet_small", "unet_mobilenetv3_small", "unet_efficientnet_lite0")
FEATURES = sorted(path.stem for path in Path(CONF / "count_features").glob("*.yaml"))
PARTS = ("model", "heatmap", "spatial", "count_features", "count_head")


def composed(*overrides: str) -> DictConfig:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("train", [*overrides, "data=folder", "data.root=x"])


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("features", FEATURES)
def test_the_network_is_the_one_that_hydra_builds(name: str, features: str) -> None:
    if "efficientnet" in name:
        pytest.importorskip("efficientnet_lite_pytorch", reason="the extra pretrained is not installed")
    cfg = composed(f"model={name}", f"count_features={features}")
    if "pretrained" in cfg.model.encoder:
        cfg.model.encoder.pretrained = False
    net = instantiate(cfg.model)
    own = end_to_end(plain({part: cfg[part] for part in PARTS}) | {"data": {"size": [192, 256]}}).net
    assert {k: v.shape for k, v in own.state_dict().items()} == {
        k: v.shape for k, v in net.state_dict().items()
    }
    own.load_state_dict(net.state_dict())
    image = torch.randn(1, 3, 64, 96)
    for one, other in zip(own.eval()(image), net.eval()(image), strict=True):
        torch.testing.assert_close(one, other, equal_nan=True)


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {"model": {}},
        {"model": {"_target_": "cardpose.models.unet.UNet", "encoder": {}}},
        {"model": {"encoder": {"_target_": "cardpose.models.unet.UNet"}}, "heatmap": {}},
    ],
)
def test_a_configuration_of_no_network_is_one_line(broken: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"not one of this version's networks|cannot be built"):
        end_to_end(broken)
