"""An exported file says what PyTorch says, for any batch, and what it is; a failed export leaves nothing behind."""

import json
import sys
from collections.abc import Callable
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from omegaconf import DictConfig
from torch.export import ExportedProgram

from cardpose.common.errors import InputError
from cardpose.common.files import replace_file
from cardpose.common.packet import CORNERS, ModelOutput
from cardpose.deploy import exporting, onnx_model, parity
from cardpose.deploy import graph as deploy
from cardpose.deploy.graph import OUTPUTS
from cardpose.deploy.parity import report_path
from cardpose.export import export, main
from cardpose.models import checkpoints
from cardpose.models.from_config import end_to_end
from cardpose.prediction.backends import OnnxBackend
from cardpose.prediction.torch_backend import TorchBackend

Compose = Callable[..., DictConfig]
Untrained = Callable[[str], Path]

COUNTS: dict[str, dict[str, Any]] = {
    "regression": {"_target_": "cardpose.models.counts.Regression"},
    "distribution": {"_target_": "cardpose.models.counts.Distribution", "sigma": 1.0},
}
DECODERS = {
    "argmax": "regression",
    "quadratic": "distribution",
    "dark": "distribution",
    "softargmax": "regression",
}
"""Every way to find a peak, each with a way to read the count."""
ENCODERS: dict[str, dict[str, Any]] = {
    "dark": {"_target_": "cardpose.models.encoders.mobilenetv3.MobileNetV3", "size": "small"},
    "softargmax": {
        "_target_": "cardpose.models.encoders.efficientnet_lite.EfficientNetLite",
        "size": 0,
        "pretrained": False,
    },
}
"""And the published networks, with some of them."""
POOLED = {
    "_target_": "cardpose.models.head.PooledFeatures",
    "grid": [3, 5],
}  # 5 does not divide the maps' width


@pytest.fixture(scope="session")
def best(finished_run: Path) -> Path:
    """A briefly trained network with count_features=box."""
    return finished_run / "checkpoints" / "best.ckpt"


@pytest.fixture(scope="module")
def untrained(best: Path, tmp_path_factory: pytest.TempPathFactory) -> Untrained:
    """untrained("dark"): a checkpoint of random weights with pooled count features and that decoder."""

    def make(decode: str) -> Path:
        checkpoint = checkpoints.read(best)
        config = checkpoint[checkpoints.KEY]["config"]
        config["model"]["head"]["heatmap_features"] = POOLED
        config["model"]["head"]["count_head"] = COUNTS[DECODERS[decode]]
        config["heatmap"]["decode"] = decode
        if "EfficientNet" in str(ENCODERS.get(decode)):
            pytest.importorskip("efficientnet_lite_pytorch", reason="the extra pretrained is not installed")
        config["model"]["encoder"] = ENCODERS.get(decode, config["model"]["encoder"])
        torch.manual_seed(0)
        net = end_to_end(config).net
        torch.nn.init.normal_(net.decoder.to_heatmaps.weight)  # else all maps are nearly flat
        checkpoint["state_dict"] = {f"net.{key}": value for key, value in net.state_dict().items()}
        path = tmp_path_factory.mktemp("untrained") / f"{decode}.ckpt"
        torch.save(checkpoint, path)
        return path

    return make


@pytest.fixture(scope="session")
def onnx_extra(missing_extra: Callable[[Exception], str]) -> None:
    """Skips where a library of the extra is missing."""
    try:
        onnx_model.require()
    except InputError as error:
        pytest.skip(missing_extra(error))


@pytest.fixture(scope="session")
def traced(best: Path) -> ExportedProgram:
    """`best`, traced once for all its files."""
    pytorch = TorchBackend(best)
    return deploy.trace(pytorch.module, pytorch.size)


@pytest.fixture(scope="session")
def trained_onnx(
    onnx_extra: None,
    best: Path,
    traced: ExportedProgram,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """`best` as a file, with the report beside it."""
    folder = tmp_path_factory.mktemp("onnx")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(deploy, "trace", lambda *_: traced)
        return export(str(best), folder / "model.onnx").path


def pictures(count: int) -> np.ndarray:
    """(count, 32, 64, 3) uint8, smooth, so that the maps have clear peaks."""
    noise = np.random.default_rng(count).integers(0, 256, (count, 4, 8, 3)).astype(np.uint8)
    return np.stack([cv2.resize(image, (64, 32), interpolation=cv2.INTER_CUBIC) for image in noise])


def assert_same(outputs: ModelOutput[np.ndarray], wanted: ModelOutput[np.ndarray], count: int) -> None:
    shapes = {"corners": (count, 8, 2), "confidence": (count, 8), "visibility": (count, 8)}
    for name, one, other in zip(OUTPUTS, outputs, wanted, strict=True):
        assert one.shape == shapes.get(name, (count,)), name
        np.testing.assert_allclose(one, other, atol=parity.LIMITS.get(name, 1e-3), rtol=0)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_a_trained_network_in_onnx_agrees_with_pytorch(trained_onnx: Path, best: Path, count: int) -> None:
    images = pictures(count)
    assert_same(OnnxBackend(trained_onnx)(images), TorchBackend(best)(images), count)


@pytest.mark.parametrize("decode", DECODERS)
def test_every_decoder_and_count_in_onnx_agrees_with_pytorch(
    onnx_extra: None, untrained: Untrained, tmp_path: Path, decode: str
) -> None:
    pytorch, path = TorchBackend(untrained(decode)), tmp_path / "a.onnx"
    about = {"size": pytorch.size, "keypoints": CORNERS}
    onnx_model.write(deploy.trace(pytorch.module, pytorch.size), path, about, "float32", [])
    exported = OnnxBackend(path)
    for count in (1, 2, 5):
        images = pictures(count)
        assert_same(exported(images), pytorch(images), count)


def test_the_file_states_what_it_is(trained_onnx: Path, best: Path) -> None:
    about = metadata(trained_onnx)
    described = checkpoints.read(best)[checkpoints.KEY]
    assert about["size"] == described["config"]["data"]["size"]
    assert about["keypoints"] == list(CORNERS)
    assert about["cards"] == [1, 104]
    assert about["precision"] == "float32"
    assert about["run"] == "run/checkpoints/best.ckpt"
    assert about["trained"]["git_commit"] == described["git_commit"]
    assert set(about["exported"]["versions"]) == {"cardpose", "torch", "onnx", "onnxruntime", "onnxscript"}
    assert set(about["outputs"]) == set(OUTPUTS)
    assert about["calibration"] is None


def test_the_graph_is_folded_has_names_and_nothing_of_this_machine(trained_onnx: Path) -> None:
    import onnx

    model = onnx.load(trained_onnx)
    onnx.checker.check_model(model)
    assert [value.name for value in model.graph.input] == ["image"]
    assert [value.name for value in model.graph.output] == list(OUTPUTS)
    assert {value.type.tensor_type.shape.dim[0].dim_param for value in model.graph.input} == {"batch"}
    assert "BatchNormalization" not in {node.op_type for node in model.graph.node}
    assert str(Path.cwd()).encode() not in trained_onnx.read_bytes()
    assert b"site-packages" not in trained_onnx.read_bytes()


def test_the_report_beside_the_file(trained_onnx: Path) -> None:
    report = json.loads(report_path(trained_onnx).read_text())
    assert report["file"] == trained_onnx.name
    assert report["within_limits"] is True
    assert report["difference"]["corners"]["max"] <= report["limits"]["corners"] == 0.05
    assert report["difference"]["cards"]["max"] <= report["limits"]["cards"] == 0.02
    assert report["scores"]["exported"]["card_mae"] == pytest.approx(
        report["scores"]["pytorch"]["card_mae"], abs=0.02
    )
    assert report["frames"] > 0
    assert report["times_as_fast"] > 0


def test_float16_and_int8_are_smaller_and_little_off(
    onnx_extra: None,
    untrained: Untrained,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path, sizes = untrained("quadratic"), {}
    pytorch = TorchBackend(path)
    program = deploy.trace(pytorch.module, pytorch.size)
    converted = onnx_model.convert(program)  # once: what follows differs with the precision
    monkeypatch.setattr(deploy, "trace", lambda *_: program)
    monkeypatch.setattr(onnx_model, "convert", lambda *_: deepcopy(converted))
    for precision, pixels, cards in (("float32", 0.05, 0.02), ("float16", 2, 1), ("int8", 20, 10)):
        out, report = export(str(path), tmp_path / f"{precision}.onnx", precision=precision)  # type: ignore[arg-type]
        assert report["difference"]["corners"]["mean"] < pixels
        assert report["difference"]["cards"]["mean"] < cards
        assert report["within_limits"] is (True if precision == "float32" else None)
        assert metadata(out)["precision"] == precision
        sizes[precision] = weights(out)
    assert sizes["int8"] < sizes["float16"] < sizes["float32"]


def metadata(path: Path) -> dict[str, Any]:
    import onnx

    entries = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    return json.loads(entries["cardpose"])


def weights(path: Path) -> int:
    """Bytes of the convolutions' kernels."""
    import onnx

    tensors = onnx.load(path).graph.initializer
    return sum(len(tensor.raw_data) for tensor in tensors if len(tensor.dims) == 4)


def test_a_torch_program_agrees_with_pytorch(
    best: Path,
    traced: ExportedProgram,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(deploy, "trace", lambda *_: traced)
    out, report = export(str(best), tmp_path / "new" / "model.pt2", "torch")
    assert report["within_limits"] is True
    program, pytorch = deploy.ProgramBackend(out), TorchBackend(best)
    assert program.about["keypoints"] == list(CORNERS)
    for count in (1, 2, 5):
        images = pictures(count)
        assert_same(program(images), pytorch(images), count)


def test_calibration_pictures_of_any_size(
    onnx_extra: None, untrained: Untrained, tmp_path: Path, tiny_folder: Path
) -> None:
    folder = tmp_path / "pictures" / "deep"
    folder.mkdir(parents=True)
    for number in range(3):
        cv2.imwrite(str(folder / f"{number}.png"), np.full((50 + number, 30, 3), 80 * number, np.uint8))
    make = partial(
        export, str(untrained("argmax")), tmp_path / "a.onnx", precision="int8", data=tiny_folder, split="all"
    )
    with pytest.raises(InputError, match=r"no training frames .* --calibration-data"):
        make()
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no picture"):
        make(calibration_data=tmp_path / "empty")
    assert not (tmp_path / "a.onnx").exists()
    make(calibration_data=folder.parent)
    assert (tmp_path / "a.onnx").exists()


def test_a_failed_export_leaves_the_older_file_and_nothing_else(
    untrained: Untrained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    out = tmp_path / "out" / "model.pt2"
    with replace_file(out) as temporary:
        temporary.write_text("older")
    monkeypatch.setattr(parity, "compare", fail)
    with pytest.raises(KeyboardInterrupt):
        export(str(untrained("argmax")), out, "torch")
    assert [path.name for path in out.parent.iterdir()] == ["model.pt2"]
    assert out.read_text() == "older"


def test_a_file_outside_the_limits_is_reported_with_exit_code_1(
    untrained: Untrained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(parity, "LIMITS", {"corners": -1.0})
    out = tmp_path / "model.pt2"
    with pytest.raises(SystemExit) as stop:
        main([str(untrained("argmax")), "--format", "torch", "--out", str(out)])
    assert stop.value.code == 1
    printed = capfd.readouterr()
    assert "differs from PyTorch" in printed.err
    assert printed.out.splitlines()[-1] == str(out)
    assert out.exists()
    assert json.loads(report_path(out).read_text())["within_limits"] is False


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (["--format", "tflite"], "'--format': 'tflite'"),
        (["--precision", "int4"], "'--precision': 'int4'"),
        (["--frames", "0"], "'--frames'"),
        (["--calibration-frames", "many"], "'--calibration-frames'"),
        (["--format", "torch", "--precision", "int8"], "--precision int8: for --format torch choose float32"),
    ],
)
def test_a_wrong_choice_names_the_choices(
    tmp_path: Path, best: Path, override: list[str], message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        main([str(best), "--out", str(tmp_path / "a.pt2"), *override])
    assert stop.value.code == 2
    assert message in capfd.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_place_that_cannot_be_written_is_named_before_the_work(
    tmp_path: Path, best: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "open_data", lambda *_: pytest.fail("the work has begun"))
    (tmp_path / "file").write_text("")
    for place, message in ((tmp_path, "is a folder"), (tmp_path / "file" / "a.pt2", "choose")):
        with pytest.raises(InputError, match=message):
            export(str(best), place, "torch")
    assert (tmp_path / "file").read_text() == ""


def test_footage_that_is_gone_names_other_footage(tmp_path: Path, best: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere.*--data FOLDER --split all"):
        export(str(best), tmp_path / "a.pt2", "torch", settings=["data.root=nowhere"])


@pytest.mark.parametrize("library", ["onnx", "onnxruntime", "onnxscript"])
def test_a_missing_library_names_the_extra(
    tmp_path: Path, best: Path, monkeypatch: pytest.MonkeyPatch, library: str
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(InputError, match=r'format=onnx needs the extra "onnx": pip install -e "\.\[onnx\]"'):
        export(str(best), tmp_path / "a.onnx")
