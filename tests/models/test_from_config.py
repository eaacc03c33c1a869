"""A network out of a checkpoint's configuration: only cardpose's own classes are ever called."""

import copy
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from cardpose.common.errors import InputError
from cardpose.common.hydra_entry import CONF
from cardpose.models.from_config import end_to_end
from cardpose.training import build

MODELS = ("unet", "unet_small", "unet_mobilenetv3_small", "unet_efficientnet_lite0")


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("head", sorted(path.stem for path in Path(CONF / "head").glob("*.yaml")))
def test_the_network_is_the_one_that_hydra_builds(name: str, head: str) -> None:
    if "efficientnet" in name:
        pytest.importorskip("efficientnet_lite_pytorch", reason="the extra pretrained is not installed")
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("train", [f"model={name}", f"head={head}", "data=folder", "data.root=x"])
    keys = ("model", "heatmap", "data")
    net = build.build_net(cfg, trained=True)
    own = end_to_end({key: OmegaConf.to_container(cfg[key], resolve=key != "data") for key in keys}).net
    assert {k: v.shape for k, v in own.state_dict().items()} == {
        k: v.shape for k, v in net.state_dict().items()
    }
    own.load_state_dict(net.state_dict())
    image = torch.randn(1, 3, 64, 96)
    for one, other in zip(own.eval()(image), net.eval()(image), strict=True):
        torch.testing.assert_close(one, other, equal_nan=True)


CONFIG = {
    "model": {"_target_": "cardpose.models.unet.UNet", "encoder": {}},
    "heatmap": {"stride": 4, "sigma": 1.5},
}


@pytest.mark.parametrize(
    "target",
    [
        "os.system",
        "cardpose.train.train",
        "cardpose.models",
        "cardpose.models.unet.torch",
        "cardpose.models.unet.nowhere",
        "cardpose.models.nowhere.Net",
        "cardpose.models.unet.nn.Module",
        "cardpose.models.from_config.end_to_end",
        "cardpose.models..unet.UNet",
        "",
    ],
)
def test_other_targets_are_refused(target: str) -> None:
    config = copy.deepcopy(CONFIG)
    config["model"]["_target_"] = target
    with pytest.raises(InputError, match=r"is no class of cardpose\.models"):
        end_to_end(config)


@pytest.mark.parametrize("broken", [{}, {"model": {}}, {**CONFIG, "heatmap": {}}, CONFIG])
def test_a_configuration_that_is_none_is_one_line(broken: dict) -> None:
    with pytest.raises(InputError, match="not one of this version's networks"):
        end_to_end(broken)
