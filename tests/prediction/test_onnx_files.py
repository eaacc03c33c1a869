"""ONNX files with odd metadata or odd networks: one line, never a traceback or a number that is none."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cardpose.common.errors import InputError
from cardpose.common.packet import ModelOutput
from cardpose.prediction.backends import OnnxBackend, check_output

onnx = pytest.importorskip("onnx")
OLD = Path(__file__).parents[1] / "fixtures" / "v0_1_0" / "model.onnx"
Change = Callable[[Any], object]
FRAME = np.zeros((1, 96, 128, 3), np.uint8)


def use(tmp_path: Path, change: Change) -> ModelOutput[np.ndarray]:
    """What the changed file answers."""
    model = onnx.load(OLD)
    change(model)
    onnx.save(model, tmp_path / "a.onnx")
    return OnnxBackend(tmp_path / "a.onnx")(FRAME)


def entry(**changes: Any) -> Change:
    """Change keys of the metadata; `...` removes one."""

    def change(model: Any) -> None:
        about = json.loads(model.metadata_props[0].value) | changes
        kept = {key: value for key, value in about.items() if value is not ...}
        model.metadata_props[0].value = json.dumps(kept)

    return change


def text(value: str) -> Change:
    return lambda model: setattr(model.metadata_props[0], "value", value)


@pytest.mark.parametrize(
    "change",
    [
        *(text(value) for value in ("", "null", "[]", "NaN", "[" * 99999, '{"size": ' + "9" * 5000 + "}")),
        *(entry(**{key: ...}) for key in ("size", "keypoints")),
        *(entry(size=size) for size in ([10**9] * 2, [96.5, 128], [True] * 2, [128, 96], "96", 10**400)),
        *(entry(keypoints=names) for names in (5, None, ["a"], "text", {"a": 1})),
        *(entry(fusion=fusion) for fusion in (5, [1], "text", {"found": float("nan")}, {"found": 10**400})),
        *(entry(interval=held) for held in (5, [1], {"a": 1}, {"scale": float("inf")})),
        *(entry(calibration={"field_of_view": view}) for view in (0, -1, 180, 1e300, float("nan"), "50")),
        lambda model: setattr(model.graph.output[0], "name", "x"),
        lambda model: setattr(model.graph.input[0].type.tensor_type, "elem_type", 1),
        lambda model: model.metadata_props.pop(),
    ],
)
def test_odd_metadata_is_one_line(tmp_path: Path, change: Change) -> None:
    with pytest.raises(InputError, match=r"^\S*a\.onnx: [^\n]+$"):
        use(tmp_path, change)


def test_metadata_that_is_not_utf8_is_one_line(tmp_path: Path) -> None:
    data = OLD.read_bytes()
    (tmp_path / "a.onnx").write_bytes(data.replace(b'{"size"', b'{"\xff\xfe\xe9\xe8"'))
    assert (tmp_path / "a.onnx").read_bytes() != data
    with pytest.raises(InputError, match=r"^\S*a\.onnx: an ONNX file, but not of cardpose"):
        OnnxBackend(tmp_path / "a.onnx")


def test_outputs_that_are_not_finite_give_no_count(tmp_path: Path) -> None:
    def spoil(model: Any) -> None:
        weights = next(t for t in model.graph.initializer if t.data_type == 1 and len(t.dims) == 4)
        spoilt = np.resize(np.float32([3e38, -3e38]), tuple(weights.dims))
        weights.CopyFrom(onnx.numpy_helper.from_array(spoilt, weights.name))

    with pytest.raises(InputError, match=r"a\.onnx: its outputs are not finite"):
        use(tmp_path, spoil)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("kind", [np.float32, np.float16, np.float64])
@pytest.mark.parametrize("raw", [True, False])
def test_a_weight_that_is_not_finite_is_refused(tmp_path: Path, value: float, kind: Any, raw: bool) -> None:
    """One number of thousands, which a picture need not meet; however its tensor is stored."""

    def spoil(model: Any) -> None:
        weights = np.ones((3, 4), kind)
        weights[1, 2] = value
        tensor = onnx.numpy_helper.from_array(weights, "spoilt")
        if not raw:
            number = onnx.helper.np_dtype_to_tensor_dtype(weights.dtype)
            tensor = onnx.helper.make_tensor("spoilt", number, weights.shape, weights.flatten())
        model.graph.initializer.append(tensor)

    with pytest.raises(InputError, match=r"a\.onnx: weight spoilt is not finite"):
        use(tmp_path, spoil)


def test_outputs_of_other_shapes_are_refused() -> None:
    whole = ModelOutput(
        np.zeros((2, 8, 2)), np.zeros((2, 8)), np.zeros((2, 8)), np.zeros(2), np.full(2, np.nan)
    )
    check_output(whole, 2, "a.onnx")
    for name in ModelOutput._fields:
        with pytest.raises(InputError, match=r"a\.onnx: its outputs have other shapes"):
            check_output(whole._replace(**{name: np.zeros((1, 3))}), 2, "a.onnx")
