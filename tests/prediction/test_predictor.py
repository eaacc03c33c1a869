"""One predictor: any size and shape, one picture or many, and nothing of training behind it."""

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from cardpose.common.errors import InputError
from cardpose.common.images import write_image
from cardpose.common.packet import CORNERS, ModelOutput
from cardpose.fusion.clips import Flag, check_and_fit
from cardpose.fusion.intervals import Interval
from cardpose.fusion.settings import FusionConfig
from cardpose.geometry.box_fit import PHONE_FOCAL
from cardpose.geometry.letterbox import invert_affine
from cardpose.models import checkpoints
from cardpose.prediction.predictor import Predictor
from cardpose.prediction.records import FrameItem

SHAPES = [(48, 64), (480, 640), (641, 479), (7, 300), (300, 7), (1, 1), (33, 1001)]


@pytest.fixture(scope="module")
def predictor(drawn_checkpoint: Path) -> Predictor:
    return Predictor.from_checkpoint(drawn_checkpoint)


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


@pytest.mark.parametrize("shape", SHAPES)
def test_any_size_and_shape(predictor: Predictor, shape: tuple[int, int]) -> None:
    result = predictor(picture(*shape))
    assert (result.height, result.width) == shape
    assert result.corners.shape == result.box.shape == (8, 2)
    assert np.isfinite(result.corners).all()
    assert 0 <= result.visibility.min() <= result.visibility.max() <= 1
    assert np.isfinite(result.cards)
    assert np.isnan(result.cards_std)


@pytest.mark.parametrize("shape", SHAPES)
def test_corners_come_back_to_the_source(predictor: Predictor, shape: tuple[int, int]) -> None:
    class Echo:
        """Finds the corners where they were put, in its own pixels."""

        size, interval, fusion, field_of_view = (48, 64), None, FusionConfig(), None

        def __call__(self, images: np.ndarray) -> ModelOutput[np.ndarray]:
            return ModelOutput(placed[None], np.ones((1, 8)), np.ones((1, 8)), np.ones(1), np.ones(1))

    echo = Predictor(Echo())
    true = np.random.default_rng(1).uniform(0, (shape[1], shape[0]), (8, 2))
    inverse = invert_affine(echo.prepare(picture(*shape)).to_source).astype(np.float64)
    placed = true @ inverse[:, :2].T + inverse[:, 2]
    np.testing.assert_allclose(echo(picture(*shape)).corners, true, atol=1e-3)


def test_one_a_batch_a_file_and_a_stream_agree(predictor: Predictor, tmp_path: Path) -> None:
    images = [picture(48, 64, seed) for seed in range(5)]
    cv2.imwrite(str(tmp_path / "0.png"), images[0][..., ::-1])
    one = [predictor(image) for image in images]
    ways = [
        predictor.batch(images),
        predictor.batch(np.stack(images)),
        list(predictor.stream(iter(images), batch_size=2)),
        [predictor(tmp_path / "0.png")],
        [predictor(str(tmp_path / "0.png"))],
    ]
    for way in ways:
        for got, want in zip(way, one, strict=len(way) > 1):
            np.testing.assert_allclose(got.corners, want.corners, atol=1e-3)
            assert got.cards == pytest.approx(want.cards, abs=1e-3)
            assert got.flag == want.flag
    assert predictor.batch([]) == []


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((4, 4, 3)),
        np.zeros((0, 4, 3), "u1"),
    ],
)
def test_another_shape_or_type_is_reported(predictor: Predictor, wrong: np.ndarray) -> None:
    with pytest.raises(ValueError, match="expected uint8 RGB"):
        predictor(wrong)


def test_the_box_completes_the_hidden_corners() -> None:
    """Seen by a phone, 15 mm thick: two corners are not found, the box knows them and the thickness."""
    x, y, z = np.array(
        [(sx * 31.5, sy * 44.0, -15.0 * face) for sy in (1, -1) for face in (1, 0) for sx in (-1, 1)]
    ).T
    tilt = np.radians(35)
    camera = np.stack([x, -y * np.sin(tilt) - z * np.cos(tilt), y * np.cos(tilt) - z * np.sin(tilt) + 250])
    corners = np.array([319.5, 239.5]) + (1.06 * 640 * camera[:2] / camera[2]).T
    confidence = np.ones((1, 8))
    confidence[0, :2] = 0.1
    given = corners.copy()
    given[:2] = 0.0
    _, boxes = check_and_fit(confidence, given[None], np.array([[640, 480]]), FusionConfig())
    assert boxes.box.thickness[0] == pytest.approx(15.0, abs=0.05)
    np.testing.assert_allclose(boxes.corners[0], corners, atol=0.2)


def test_no_packet_has_no_box(predictor: Predictor) -> None:
    size = np.array([[640, 480], [1, 1]])
    flags, boxes = check_and_fit(np.zeros((2, 8)), np.zeros((2, 8, 2)), size, FusionConfig())
    assert (flags == Flag.NO_PACKET).all()
    assert np.isnan(boxes.box.thickness).all()
    assert np.isnan(boxes.corners).all()


def test_no_packet_in_view_is_flagged(drawn_checkpoint: Path, tmp_path: Path) -> None:
    checkpoint = torch.load(drawn_checkpoint, weights_only=True)
    checkpoint["state_dict"]["net.decoder.to_heatmaps.weight"].zero_()
    torch.save(checkpoint, tmp_path / "blind.ckpt")
    result = Predictor.from_checkpoint(tmp_path / "blind.ckpt")(picture(48, 64))
    assert result.flag == Flag.NO_PACKET
    assert np.isnan(result.completed()).all()


def test_the_interval_comes_with_the_checkpoint(drawn_checkpoint: Path, tmp_path: Path) -> None:
    assert Predictor.from_file(drawn_checkpoint).interval is None
    checkpoint = torch.load(drawn_checkpoint, weights_only=True)
    stored = {"floor": 2.0, "slope": 0.05, "noise": 0.1, "videos": 9}
    checkpoint[checkpoints.KEY]["interval"] = stored
    torch.save(checkpoint, tmp_path / "calibrated.ckpt")
    assert Predictor.from_file(tmp_path / "calibrated.ckpt").interval == Interval(**stored)


def test_the_fusion_settings_come_with_the_checkpoint(drawn_checkpoint: Path, tmp_path: Path) -> None:
    assert Predictor.from_file(drawn_checkpoint).fusion == FusionConfig()
    checkpoint = torch.load(drawn_checkpoint, weights_only=True)
    checkpoint[checkpoints.KEY]["config"]["fusion"] = {"found": 1.0}
    torch.save(checkpoint, tmp_path / "strict.ckpt")
    predictor = Predictor.from_file(tmp_path / "strict.ckpt")
    assert predictor.fusion == FusionConfig(found=1.0)
    assert predictor(picture(48, 64)).flag == Flag.NO_PACKET


def test_the_field_of_view_is_the_callers_the_checkpoints_or_a_phones(
    drawn_checkpoint: Path, tmp_path: Path
) -> None:
    assert Predictor.from_file(drawn_checkpoint).focal == PHONE_FOCAL
    checkpoint = torch.load(drawn_checkpoint, weights_only=True)
    checkpoint[checkpoints.KEY]["calibration"] = {"field_of_view": 90.0}
    torch.save(checkpoint, tmp_path / "calibrated.ckpt")
    assert Predictor.from_file(tmp_path / "calibrated.ckpt").focal == pytest.approx(0.5)
    assert Predictor.from_file(tmp_path / "calibrated.ckpt", field_of_view=53.13).focal == pytest.approx(
        1.0, abs=1e-3
    )


def test_a_configuration_with_code_runs_nothing(drawn_checkpoint: Path, tmp_path: Path) -> None:
    checkpoint = torch.load(drawn_checkpoint, weights_only=True)
    checkpoint[checkpoints.KEY]["config"]["model"]["_target_"] = "os.mkdir"
    torch.save(checkpoint, tmp_path / "bad.ckpt")
    with pytest.raises(InputError, match=r"bad\.ckpt: model: _target_ os\.mkdir is not allowed"):
        Predictor.from_file(tmp_path / "bad.ckpt")


def test_what_is_no_model_is_one_line(tmp_path: Path) -> None:
    for name in ("nowhere.ckpt", "nowhere.onnx", "other.onnx"):
        if name.startswith("other"):
            (tmp_path / name).write_bytes(b"no model")
        with pytest.raises(InputError, match=name) as refused:
            Predictor.from_file(tmp_path / name)
        assert "\n" not in str(refused.value)


def write_onnx(path: Path, metadata: dict[str, str], *outputs: str) -> Path:
    """A graph that says of every image: corner i at (i, i), found and seen, as many cards as its first pixel's red."""
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    helper, kinds = onnx.helper, onnx.TensorProto
    constants = {
        "corners": np.repeat(np.arange(8.0)[None, :, None], 2, axis=2),
        "confidence": np.ones((1, 8)),
        "visibility": np.ones((1, 8)),
        "cards_std": np.ones(1),
    }
    nodes = [
        helper.make_node("Constant", [], [name], value=onnx.numpy_helper.from_array(value.astype(np.float32)))
        for name, value in constants.items()
    ]
    starts = onnx.numpy_helper.from_array(np.array([0, 0, 0, 0]), "starts")
    ends = onnx.numpy_helper.from_array(np.array([1, 1, 1, 1]), "ends")
    shape = onnx.numpy_helper.from_array(np.array([1]), "shape")
    nodes += [
        helper.make_node("Slice", ["image", "starts", "ends"], ["pixel"]),
        helper.make_node("Cast", ["pixel"], ["number"], to=kinds.FLOAT),
        helper.make_node("Reshape", ["number", "shape"], ["cards"]),
    ]
    image = helper.make_tensor_value_info("image", kinds.UINT8, ["batch", 3, 48, 64])
    values = [helper.make_tensor_value_info(name, kinds.FLOAT, None) for name in outputs]
    graph = helper.make_graph(nodes, "g", [image], values, [starts, ends, shape])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    helper.set_model_props(model, metadata)
    onnx.save(model, path)
    return path


ABOUT = {"size": [48, 64], "keypoints": list(CORNERS), "interval": None}


def test_an_onnx_file_is_known_by_its_content_and_holds_its_fusion_settings(tmp_path: Path) -> None:
    metadata = {checkpoints.KEY: json.dumps({**ABOUT, "fusion": {"found": 0.5}})}
    path = write_onnx(tmp_path / "model", metadata, *ModelOutput._fields)
    assert Predictor.from_file(path).fusion == FusionConfig(found=0.5)
    with pytest.raises(InputError, match="runs on the CPU"):
        Predictor.from_file(path, "cuda")


def test_an_onnx_file_is_a_backend_like_the_other(tmp_path: Path) -> None:
    metadata = {checkpoints.KEY: json.dumps(ABOUT)}
    predictor = Predictor.from_file(write_onnx(tmp_path / "a.onnx", metadata, *ModelOutput._fields))
    image = np.full((96, 128, 3), (17, 0, 0), np.uint8)
    result = predictor(image)
    assert result.cards == 17.0
    np.testing.assert_allclose(result.corners, np.repeat(np.arange(8)[:, None] * 2 + 0.5, 2, axis=1))
    assert predictor.interval is None


@pytest.mark.parametrize(
    ("about", "outputs", "message"),
    [
        (None, ModelOutput._fields, "not of cardpose"),
        ("{", ModelOutput._fields, "not of cardpose"),
        (json.dumps([]), ModelOutput._fields, "not of cardpose"),
        (json.dumps(ABOUT), ("corners", "cards"), "not of cardpose"),
        (json.dumps({**ABOUT, "keypoints": ["nose"]}), ModelOutput._fields, "keypoint order differs"),
    ],
)
def test_an_onnx_file_of_something_else(
    tmp_path: Path, about: str | None, outputs: tuple[str, ...], message: str
) -> None:
    path = write_onnx(tmp_path / "b.onnx", {checkpoints.KEY: about} if about else {}, *outputs)
    with pytest.raises(InputError, match=rf"b\.onnx: .*{message}"):
        Predictor.from_file(path)


def test_predicting_needs_no_training_library(drawn_checkpoint: Path) -> None:
    heavy = (
        "lightning",
        "pytorch_lightning",
        "hydra",
        "omegaconf",
        "albumentations",
        "torchmetrics",
        "matplotlib",
    )
    code = (
        "import sys, numpy\n"
        "from cardpose.prediction.predictor import Predictor\n"
        f"Predictor.from_checkpoint({str(drawn_checkpoint)!r})(numpy.zeros((48, 64, 3), numpy.uint8))\n"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


def test_an_onnx_file_predicts_a_picture_without_torch(tmp_path: Path) -> None:
    model = write_onnx(tmp_path / "a.onnx", {checkpoints.KEY: json.dumps(ABOUT)}, *ModelOutput._fields)
    write_image(tmp_path / "a.png", np.full((96, 128, 3), (17, 0, 0), np.uint8))
    heavy = ("torch", "torchmetrics", "scipy", "matplotlib", "cardpose.edges")
    code = (
        "import sys\n"
        "from cardpose.predict import predict\n"
        "predict([sys.argv[1]], model=sys.argv[2], out=sys.argv[3])\n"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    words = [str(tmp_path / name) for name in ("a.png", model.name, "out")]
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True)
    assert (done.stdout.strip(), done.returncode) == ("[]", 0), done.stderr
    line = json.loads((tmp_path / "out" / "predictions.jsonl").read_text())
    assert line["cards"] == 17.0


def test_prepared_frames_can_be_of_many_sizes(predictor: Predictor) -> None:
    prepared = [predictor.prepare(picture(*shape)) for shape in SHAPES]
    assert all(isinstance(frame, FrameItem) and frame.image.shape == (48, 64, 3) for frame in prepared)
    assert [(result.height, result.width) for result in predictor.predict(prepared)] == SHAPES
