"""Every model of our own with every spatial model: it composes, learns, is restored and exported as it was."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import DictConfig

from cardpose.common.errors import InputError
from cardpose.common.hydra_entry import CONF, plain
from cardpose.deploy import graph, onnx_model, parity
from cardpose.models import checkpoints
from cardpose.models.from_config import build_net, end_to_end
from cardpose.prediction.backends import OnnxBackend
from cardpose.prediction.torch_backend import TorchBackend
from cardpose.training import build

Compose = Callable[..., DictConfig]

SPATIAL = sorted(file.stem for file in (CONF / "spatial").glob("*.yaml"))
SMALL = {
    "unet": ["model.encoder.widths=[4,6,8,8,8]", "model.decoder.width=4"],
    "hourglass": ["model.encoder.width=8", "model.decoder.stacks=2"],
}


@pytest.fixture(params=[(model, spatial) for model in SMALL for spatial in SPATIAL], ids="-".join)
def config(request: pytest.FixtureRequest, compose_entry: Compose, tmp_path: Path) -> dict[str, Any]:
    model, spatial, *others = request.param
    words = [f"model={model}", f"spatial={spatial}", "data.size=[64,96]", "model.head.hidden=8", *others]
    words += SMALL[model]
    return plain(compose_entry("train", tmp_path / "run", *words))


def test_all_choices_learn_together(config: dict[str, Any]) -> None:
    build.check(config)
    torch.manual_seed(0)
    net, loss = build_net(config), build.build_loss(config)
    output = net(torch.randn(2, 3, 64, 96))
    batch = {
        "heatmaps": torch.rand_like(output.heatmaps),
        "cards": torch.tensor([3.0, 40.0]),
        "visibility": torch.full((2, 8), 2),
    }
    losses = loss(output, batch)  # type: ignore[arg-type]
    losses["loss"].backward()
    stages = config["model"]["decoder"].get("stacks", 1) + (
        not config["spatial"]["_target_"].endswith("NoSpatial")
    )
    assert {name for name in losses if name.startswith("intermediate_")} == {
        f"intermediate_{number}" for number in range(1, stages)
    }
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())


EXPORTED = [("unet", "box", "count_features=pooled"), ("hourglass", "graphical", "count_features=pooled")]
"""An export takes many seconds, and more with a second box in the graph, which tests/integration/test_export.py has."""


@pytest.mark.parametrize("config", EXPORTED, ids="-".join, indirect=True)
def test_a_checkpoint_and_its_export_say_what_the_network_says(
    config: dict[str, Any], tmp_path: Path
) -> None:
    torch.manual_seed(0)
    net = end_to_end(config).net
    for name, value in net.named_parameters():
        if "to_heatmaps" in name:
            torch.nn.init.normal_(value)  # else all maps are nearly flat
    path = tmp_path / "a.ckpt"
    described = checkpoints.describe(config, {"train": {}, "val": {}, "test": {}})
    state = {f"net.{key}": value for key, value in net.state_dict().items()}
    checkpoints.write({"state_dict": state, checkpoints.KEY: described}, path)
    pytorch = TorchBackend(path)
    try:
        onnx_model.require()
    except InputError as error:
        pytest.skip(str(error))
    about = {"size": pytorch.size, "keypoints": described["keypoints"]}
    onnx_model.write(graph.trace(pytorch.module, pytorch.size), tmp_path / "a.onnx", about, "float32", [])
    exported = OnnxBackend(tmp_path / "a.onnx")
    for rows in (1, 3):
        pictures = np.random.default_rng(rows).integers(0, 256, (rows, 64, 96, 3)).astype(np.uint8)
        for one, other in zip(exported(pictures), pytorch(pictures), strict=True):
            np.testing.assert_allclose(one, other, atol=min(parity.LIMITS.values()), rtol=0)
