"""What a release keeps of a trained model."""

from pathlib import Path

import numpy as np
import pytest
import torch

from cardpose.common.errors import InputError
from cardpose.deploy import onnx_model, release
from cardpose.models import checkpoints


def test_a_release_keeps_every_weight_to_half_precision(drawn_checkpoint: Path) -> None:
    whole = checkpoints.read(drawn_checkpoint)
    small = release.slim(whole)
    assert small["state_dict"].keys() == whole["state_dict"].keys()
    for name, value in whole["state_dict"].items():
        if value.is_floating_point():
            torch.testing.assert_close(small["state_dict"][name].float(), value, rtol=1e-3, atol=1e-6)
        else:
            assert torch.equal(small["state_dict"][name], value)
    assert small[checkpoints.KEY]["split"] == {"train": {}, "val": {}, "test": {}}
    assert "optimizer_states" not in small


def test_a_weight_beyond_half_precision_is_refused() -> None:
    checkpoint = {
        checkpoints.KEY: {},
        "state_dict": {"net.w": torch.full((100,), 1e6)},
    }
    with pytest.raises(InputError, match=r"net\.w is too large"):
        release.slim(checkpoint)


def test_constants_are_halved_where_that_is_exact_and_worthwhile() -> None:
    onnx = pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    helper, to_tensor = onnx.helper, onnx.numpy_helper.from_array
    draw = np.random.default_rng(0).normal(size=(3, 100)).astype(np.float32)
    values = {
        "exact": draw[0].astype(np.float16).astype(np.float32),
        "whole": draw[1],
        "few": draw[2, :10] * 0,
    }
    values["huge"] = np.full(100, 1e30, np.float32)
    outputs = [helper.make_tensor_value_info(f"{name}_out", onnx.TensorProto.FLOAT, None) for name in values]
    nodes = [helper.make_node("Neg", [name], [f"{name}_out"]) for name in values]
    held = [to_tensor(value, name) for name, value in values.items()]
    graph = helper.make_graph(nodes, "g", [], outputs, held)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx_model.store_halves(model)
    halved = {
        tensor.name for tensor in model.graph.initializer if tensor.data_type == onnx.TensorProto.FLOAT16
    }
    assert halved == {"exact_half"}
    session = runtime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    for name, value in zip(values, session.run(None, {}), strict=True):
        assert (value == -values[name]).all()


def test_the_mean_of_runs_is_that_of_their_weights_and_the_last_ones_description() -> None:
    first = {
        checkpoints.KEY: 1,
        "state_dict": {"w": torch.tensor([1.0, 3.0]).half(), "steps": torch.tensor(5)},
    }
    last = {checkpoints.KEY: 2, "state_dict": {"w": torch.tensor([2.0, 0.0]), "steps": torch.tensor(9)}}
    both = release.with_mean_weights([first, last])
    assert both[checkpoints.KEY] == 2
    assert torch.equal(both["state_dict"]["w"], torch.tensor([1.5, 1.5]))
    assert both["state_dict"]["steps"] == 9
    with pytest.raises(InputError, match="different networks"):
        release.with_mean_weights([{"state_dict": {"w": torch.zeros(3)}}, last])
