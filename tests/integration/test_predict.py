"""cardpose predict, end to end on clips made here, and against the network under training."""

import csv
import io
import json
import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from omegaconf import DictConfig

from cardpose import predict
from cardpose.common.files import replace_file
from cardpose.common.hydra_entry import plain
from cardpose.data.footage.video import VideoFrame, iterate, probe
from cardpose.models import checkpoints
from cardpose.models.from_config import build_net
from cardpose.prediction import processes
from cardpose.prediction.output_folder import PredictionFolder
from cardpose.prediction.predictor import Predictor
from cardpose.prediction.processes import predict_in_processes
from cardpose.prediction.sources import CameraSource
from cardpose.training import build, testing

Compose = Callable[..., DictConfig]
Command = Callable[..., tuple[int, str]]
QUICK = Path("packet-fast")
"""An ONNX file, for which a process need not load torch."""
FILES = ("predictions.jsonl", "frames.csv", "clips.csv")


@pytest.fixture
def command(
    drawn_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Command:
    """command(*words) runs the command in an empty folder: exit code and what it wrote on stderr."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")

    def run(*words: str, model: Path = drawn_checkpoint) -> tuple[int, str]:
        code = 0
        try:
            predict.main(["--model", str(model), "--accelerator", "cpu", *words])
        except SystemExit as stop:
            code = int(stop.code or 0)
        out, err = capfd.readouterr()
        assert "Traceback" not in out + err
        return code, err

    return run


@pytest.fixture
def clips(tmp_path: Path, make_clip: Callable[..., Path]) -> Path:
    """A folder of three clips of 5, 6 and 7 frames."""
    for number in range(3):
        make_clip(tmp_path / "clips" / f"{number}.mp4", num_frames=5 + number, cards=10 * number + 5)
    return tmp_path / "clips"


def lines(out: Path) -> list[dict]:
    return [json.loads(line) for line in (out / "predictions.jsonl").read_text().splitlines()]


def table(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.open(newline="")))


def test_a_checkpoint_predicts_as_under_training(finished_run: Path, tiny_folder: Path) -> None:
    best = finished_run / "checkpoints" / "best.ckpt"
    checkpoint = checkpoints.read(best)
    config = testing.config_for_test(checkpoint, best, tiny_folder, split="all", accelerator="cpu")
    config["trainer"]["precision"] = "32-true"
    frames = testing.make_split(config, checkpoint, best)
    results = testing.evaluate_checkpoint(config, best, checkpoint, frames).results
    predictor = Predictor.from_checkpoint(best)
    for video in {result.video for result in results}:
        frames = list(iterate(tiny_folder / video))
        predicted = list(predictor.stream(frame.image for frame in frames))
        for result in (result for result in results if result.video == video):
            one = predicted[result.frame_index]
            np.testing.assert_allclose(one.corners, result.corners_predicted, atol=1e-3)
            np.testing.assert_allclose(one.confidence, result.confidence, atol=1e-5)
            np.testing.assert_allclose(one.visibility, result.visible_probability, atol=1e-5)
            assert one.cards == pytest.approx(result.cards_predicted, abs=1e-3)


def test_the_module_and_the_predictor_agree_on_odd_sizes(finished_run: Path) -> None:
    """The letterbox too: against the module, fed by hand."""
    best = finished_run / "checkpoints" / "best.ckpt"
    checkpoint = checkpoints.read(best)
    config = DictConfig(checkpoint[checkpoints.KEY]["config"])
    net = build_net(plain(config), trained=True)
    module = build.build_module(plain(config), net, 26.0, {}).eval()
    module.load_state_dict(checkpoint["state_dict"], strict=False)
    predictor = Predictor.from_checkpoint(best)
    image = np.random.default_rng(0).integers(0, 256, (77, 131, 3), np.uint8)
    prepared = predictor.prepare(image)
    pixels = torch.from_numpy(prepared.image).permute(2, 0, 1)[None].float() / 255
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (net.encoder.mean, net.encoder.std))
    with torch.inference_mode():
        want = module.to_prediction(module((pixels - mean) / std), torch.from_numpy(prepared.to_source)[None])
    result = predictor(image)
    np.testing.assert_allclose(result.corners, want.corners[0], atol=1e-3)
    assert result.cards == pytest.approx(float(want.cards[0]), abs=1e-3)


def test_a_folder_of_clips(command: Command, drawn_checkpoint: Path, clips: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    code, err = command(str(clips), f"--out={out}", "--batch-size=4")
    assert code == 0
    assert "18 frames of 3 clips" in err
    assert sorted(path.name for path in out.iterdir()) == sorted([*FILES, "predict.json"])
    frames, rows, answers = lines(out), table(out / "frames.csv"), table(out / "clips.csv")
    assert [(row["clip"], row["frames"]) for row in answers] == [
        (str(clips / f"{number}.mp4"), str(5 + number)) for number in range(3)
    ]
    assert [(frame["clip"], frame["frame_index"]) for frame in frames] == [
        (str(clips / f"{number}.mp4"), index) for number in range(3) for index in range(5 + number)
    ]
    for frame, row in zip(frames, rows, strict=True):
        assert (frame["clip"], str(frame["frame_index"])) == (row["clip"], row["frame_index"])
        assert frame["cards"] == float(row["cards"])
        assert frame["corners"][2] == [float(row["upper_left_back_x"]), float(row["upper_left_back_y"])]
        assert (frame["width"], frame["height"]) == (64, 48)
        assert frame["cards_std"] is None
        assert row["cards_std"] == ""
    assert frames[4]["running"]["cards"] == float(answers[0]["cards"])
    assert frames[1]["timestamp"] == pytest.approx(1 / 30, abs=1e-3)
    result = Predictor.from_checkpoint(drawn_checkpoint)(next(iterate(clips / "0.mp4")).image)
    np.testing.assert_allclose(result.corners, frames[0]["corners"], atol=2e-3)


@pytest.mark.parametrize("kind", ["video", "picture", "frames", "glob", "list", "stdin"])
def test_every_kind_of_source(
    command: Command, clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    image = next(iterate(clips / "0.mp4")).image
    (tmp_path / "frames").mkdir()
    for index in (0, 4, 11):
        write_image(tmp_path / "frames" / f"{index}.png", image)
    write_image(tmp_path / "one.png", image)
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{clips}/1.mp4\n{tmp_path}/one.png\n"))
    source, counts = {
        "video": (f"{clips}/0.mp4", ["5"]),
        "picture": (f"{tmp_path}/one.png", ["1"]),
        "frames": (f"{tmp_path}/frames", ["3"]),
        "glob": (f"{clips}/*.mp4", ["5", "6", "7"]),
        "list": (f"{clips}/2.mp4 {tmp_path}/one.png", ["7", "1"]),
        "stdin": ("-", ["6", "1"]),
    }[kind]
    code, err = command(*source.split(), f"--out={tmp_path}/out", "--overlay")
    assert code == 0, err
    assert [row["frames"] for row in table(tmp_path / "out" / "clips.csv")] == counts
    drawn = sorted(path.name for path in (tmp_path / "out" / "overlay").rglob("*.*"))
    assert (
        drawn
        == {
            "video": ["0.mp4"],
            "picture": ["one.png"],
            "frames": ["0.jpg", "11.jpg", "4.jpg"],
            "glob": ["0.mp4", "1.mp4", "2.mp4"],
            "list": ["2.mp4", "one.png"],
            "stdin": ["1.mp4", "one.png"],
        }[kind]
    )
    if kind in ("picture", "frames"):
        assert all(
            frame["tracked"] is None and frame["timestamp"] is None for frame in lines(tmp_path / "out")
        )


def write_image(path: Path, image: np.ndarray) -> None:
    with replace_file(path) as temporary:
        temporary.write_bytes(cv2.imencode(".png", image[..., ::-1])[1].tobytes())


@pytest.mark.parametrize("size", [(64, 48), (101, 75), (1920, 40)])
@pytest.mark.parametrize("rate", [30.0, 12.5])
def test_the_overlay_is_a_video_of_the_same_frames(
    command: Command, tmp_path: Path, make_clip: Callable[..., Path], size: tuple[int, int], rate: float
) -> None:
    even = tuple(side + side % 2 for side in size)
    clip = make_clip(tmp_path / "a.mp4", num_frames=9, size=even, rate=rate)
    assert command(str(clip), f"--out={tmp_path}/out", "--overlay")[0] == 0
    info, drawn = probe(clip), probe(tmp_path / "out" / "overlay" / "a.mp4")
    assert drawn.num_frames == info.num_frames == 9
    assert drawn.rate == pytest.approx(info.rate, rel=1e-3)
    times = [[frame.timestamp for frame in iterate(path)] for path in (clip, tmp_path / "out/overlay/a.mp4")]
    np.testing.assert_allclose(times[0], times[1], atol=1e-3)
    assert drawn.width / drawn.height == pytest.approx(even[0] / even[1], rel=0.05)


def test_interrupted_and_gone_on_with_is_uninterrupted(
    command: Command, clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, torn = tmp_path / "whole", tmp_path / "torn"
    assert command(str(clips), f"--out={whole}", "--overlay")[0] == 0
    write, count = PredictionFolder.write_frame, [0]

    def stopped(self: PredictionFolder, *frame: Any) -> None:
        count[0] += 1
        if count[0] == 9:
            raise KeyboardInterrupt
        write(self, *frame)

    with monkeypatch.context() as patched:
        patched.setattr(PredictionFolder, "write_frame", stopped)
        code, err = command(str(clips), f"--out={torn}", "--overlay")
    assert code == 130
    assert "interrupted: add --resume to continue" in err
    assert len(lines(torn)) == len(table(torn / "frames.csv")) == 8
    assert len(table(torn / "clips.csv")) == 1
    with (torn / "predictions.jsonl").open("a") as file:
        file.write('{"clip": "')  # of a run that was killed in the middle of a line
    with (torn / "frames.csv").open("a") as file:
        file.write("clips/1.mp4,3")
    code, err = command(str(clips), f"--out={torn}", "--overlay", "--resume")
    assert code == 0
    assert "13 frames of 2 clips" in err
    for name in FILES:
        assert (torn / name).read_bytes() == (whole / name).read_bytes(), name
    for name in (f"overlay/{number}.mp4" for number in range(3)):
        film, wanted = list(iterate(torn / name)), list(iterate(whole / name))
        assert [frame.timestamp for frame in film] == [frame.timestamp for frame in wanted], name
        for frame, other in zip(
            film, wanted, strict=True
        ):  # under load x264 has been seen to code a bit otherwise
            assert np.abs(frame.image.astype(int) - other.image).mean() < 1, name
    code, err = command(str(clips), f"--out={torn}", "--overlay", "--resume")
    assert (code, "0 frames of 0 clips" in err) == (0, True)


def test_several_processes_answer_as_one_and_as_for_each_clip_alone(
    command: Command,
    clips: Path,
    tmp_path: Path,
    make_clip: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = make_clip(clips / "3.mp4", num_frames=40, size=(320, 240))
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    (clips / "4.mp4").write_bytes(b"no video")
    told = []
    for jobs in (1, 2):
        code, err = command(
            str(clips), f"--out={tmp_path}/{jobs}", "--overlay", f"--jobs={jobs}", model=QUICK
        )
        assert code == 0
        told.append(sorted(line.rpartition(";")[0] or line for line in err.splitlines()))
    assert told[0] == told[1]
    for name in FILES:
        whole = (tmp_path / "1" / name).read_bytes()
        assert (tmp_path / "2" / name).read_bytes() == whole
        alone = []
        for number in range(4):
            out = tmp_path / f"alone{number}"
            if not out.exists():
                assert command(f"{clips}/{number}.mp4", f"--out={out}", model=QUICK)[0] == 0
            rows = (out / name).read_bytes().splitlines(keepends=True)
            alone += rows if number == 0 or name.endswith(".jsonl") else rows[1:]
        assert b"".join(alone) == whole
    drawn = [sorted((tmp_path / jobs / "overlay").iterdir()) for jobs in ("1", "2")]
    assert (
        [path.name for path in drawn[0]] == [path.name for path in drawn[1]] == [f"{n}.mp4" for n in range(4)]
    )
    append, count = PredictionFolder.append, [0]

    def stopped(self: PredictionFolder, texts: Any) -> None:
        count[0] += 1
        if count[0] == 3:
            raise KeyboardInterrupt
        append(self, texts)

    with monkeypatch.context() as patched:
        patched.setattr(PredictionFolder, "append", stopped)
        code, err = command(str(clips), f"--out={tmp_path}/torn", "--overlay", "--jobs=2", model=QUICK)
    assert (code, "interrupted: add --resume to continue" in err) == (130, True)
    assert len(table(tmp_path / "torn" / "clips.csv")) == 2
    assert (
        command(str(clips), f"--out={tmp_path}/torn", "--overlay", "--jobs=2", "--resume", model=QUICK)[0]
        == 0
    )
    assert all(
        (tmp_path / "torn" / name).read_bytes() == (tmp_path / "1" / name).read_bytes() for name in FILES
    )


def test_a_killed_process_is_one_line(
    command: Command, clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each worker kills itself where it would load the model."""

    def killed(*words: Any) -> Any:
        *rest, _ = words
        return predict_in_processes(*rest, partial(signal.raise_signal, signal.SIGKILL))

    monkeypatch.setattr(processes, "predict_in_processes", killed)
    code, err = command(str(clips), f"--out={tmp_path}/out", "--jobs=2", model=QUICK)
    assert code == 2
    assert "a process was killed" in err.splitlines()[-1]
    monkeypatch.undo()
    code, err = command("0", f"--out={tmp_path}/out", "--jobs=2", model=QUICK)
    assert (code, "camera 0: a camera has no end: leave out --jobs" in err) == (2, True)


def test_odd_names_are_one_row_each_and_resumed(command: Command, clips: Path, tmp_path: Path) -> None:
    (clips / "0.mp4").rename(clips / os.fsdecode(b"caf\xe9\n.mp4"))
    (clips / "1.mp4").rename(clips / f"{'x' * 246}.mp4")
    (clips / "2.mp4").rename(clips / f"{'x' * 250}.avi")
    (clips / "notes.txt").write_text("cards\n")
    for turn in range(2):
        code, err = command(str(clips), f"--out={tmp_path}/out", "--overlay", "--resume")
        assert (code, f"{clips}: took 3 files, left out 1: notes.txt" in err) == (0, True)
        assert ("18 frames of 3 clips" in err) == (turn == 0)
    rows = table(tmp_path / "out" / "clips.csv")
    assert rows[0]["clip"] == rf"{clips}/caf\udce9\n.mp4"
    assert [int(row["frames"]) for row in rows] == [5, 6, 7]
    assert len(lines(tmp_path / "out")) == len(table(tmp_path / "out" / "frames.csv")) == 18
    drawn = sorted(path.name[:9] for path in (tmp_path / "out" / "overlay").iterdir())
    assert drawn == [r"caf\udce9", "xxxxxxxxx", "xxxxxxxxx"]


def test_a_folder_of_other_predictions_is_left_alone(command: Command, clips: Path, tmp_path: Path) -> None:
    command(f"{clips}/0.mp4", f"--out={tmp_path}/out")
    before = (tmp_path / "out" / "predictions.jsonl").read_bytes()
    for words in ([], ["--overlay"]):
        code, err = command(f"{clips}/1.mp4", f"--out={tmp_path}/out", *words)
        assert code == 2
        assert "add --resume" in err
    code, err = command(f"{clips}/1.mp4", f"--out={tmp_path}/out", "--overlay", "--resume")
    assert code == 2
    assert "another model or overlay" in err
    assert (tmp_path / "out" / "predictions.jsonl").read_bytes() == before


def test_without_a_folder_each_run_has_its_own(
    command: Command, clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for words in ([f"{clips}/0.mp4"], [f"{clips}/1.mp4"], [f"{clips}/1.mp4", f"{clips}/2.mp4", "--resume"]):
        assert command(*words)[0] == 0
    first, second = (table(Path(name, "clips.csv")) for name in ("predictions", "predictions_2"))
    assert [Path(row["clip"]).name for row in first] == ["0.mp4"]
    assert [Path(row["clip"]).name for row in second] == ["1.mp4", "2.mp4"]
    assert not Path("predictions_3").exists()


def test_a_video_that_breaks_off_is_one_warning(
    command: Command, clips: Path, tmp_path: Path, make_clip: Callable[..., Path]
) -> None:
    path = make_clip(tmp_path / "a.mp4", num_frames=40, size=(320, 240))
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])
    code, err = command(str(path), f"{clips}/0.mp4", f"--out={tmp_path}/out", "--overlay")
    assert code == 0
    assert len([line for line in err.splitlines() if "truncated after" in line]) == 1
    rows = table(tmp_path / "out" / "clips.csv")
    read, bad = int(rows[0]["frames"]), int(rows[0]["bad_frames"])
    assert read > 0
    assert read + bad == 40
    assert f"; {bad} bad frame" in err
    assert probe(tmp_path / "out" / "overlay" / "a.mp4").num_frames == read


def test_what_cannot_be_read_is_a_line_and_the_rest_continues(
    command: Command, clips: Path, tmp_path: Path
) -> None:
    (tmp_path / "no.mp4").write_bytes(b"no video")
    sources = f"{tmp_path}/no.mp4", f"{clips}/0.mp4", f"{tmp_path}/nowhere.mp4"
    code, err = command(*sources, f"--out={tmp_path}/out")
    assert code == 0
    assert [row["clip"] for row in table(tmp_path / "out" / "clips.csv")] == [f"{clips}/0.mp4"]
    assert err.count("no.mp4: not a whole video") == err.count("nowhere.mp4: no such file") == 1
    assert "2 sources could not be read" in err


@pytest.mark.parametrize(
    ("source", "out", "message"),
    [
        ("{0}/no.mp4", "{0}/out", "no.mp4: not a whole video"),
        ("{0}/no.jpg", "{0}/out", "no.jpg: missing or not a whole image"),
        ("{0}/*.avi", "{0}/out", "*.avi: matches no file"),
        ("{0}/nowhere", "{0}/out", "nowhere: no such file or folder"),
        ("97", "{0}/out", "camera 97: not found"),
        ("{0}/clips", "{0}/no.mp4/out", "no.mp4/out: cannot be a folder (Not a directory)"),
        ("{0}/clips", "{0}/no.mp4", "no.mp4: cannot be a folder (File exists)"),
    ],
)
def test_where_nothing_can_be_done(
    command: Command, clips: Path, tmp_path: Path, source: str, out: str, message: str
) -> None:
    for name in ("no.mp4", "no.jpg"):
        (tmp_path / name).write_bytes(b"no picture and no video")
    code, err = command(source.format(tmp_path), f"--out={out.format(tmp_path)}")
    assert code == 2
    assert [message in line for line in err.splitlines() if line.startswith("cardpose predict: ")] == [True]
    assert not (tmp_path / "out").exists()
    assert not [path for path in (tmp_path / "work").rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("--batch-size=0", "'--batch-size': should be greater than or equal to 1"),
        ("--batch-size=many", "'--batch-size': should be a valid integer"),
        ("--accelerator=tpu", "'--accelerator': 'tpu' is not one of 'auto', 'cpu', 'gpu'"),
        ("--field-of-view=0", "'--field-of-view'"),
        ("--model=no.onnx", "no.onnx: no such file"),
        ("--overlai", "no such option --overlai, did you mean --overlay?"),
        ("-overlay", "no such option -overlay, did you mean --overlay?"),
    ],
)
def test_a_value_that_cannot_work(
    command: Command, clips: Path, tmp_path: Path, override: str, message: str
) -> None:
    code, err = command(str(clips), f"--out={tmp_path}/out", override)
    assert code == 2
    (line,) = err.splitlines()
    assert message in line


def test_pictures_of_extreme_size(command: Command, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for number, shape in enumerate([(1, 1, 3), (1, 3000, 3), (4001, 4001, 3)]):
        write_image(tmp_path / "in" / f"p{number}.png", np.full(shape, 90, np.uint8))
    code, _ = command(f"{tmp_path}/in", f"--out={tmp_path}/out", "--overlay")
    assert code == 0
    assert len(table(tmp_path / "out" / "clips.csv")) == 3
    assert len(list((tmp_path / "out" / "overlay").iterdir())) == 3


def test_ctrl_c_ends_a_camera_well(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def frames(self: CameraSource) -> object:
        image = np.full((48, 64, 3), 90, np.uint8)
        for index in range(10**6):
            yield VideoFrame(index, index / 30, image)

    write, count = PredictionFolder.write_frame, [0]

    def stopped(self: PredictionFolder, *frame: Any) -> None:
        write(self, *frame)
        count[0] += 1
        if count[0] == 12:
            raise KeyboardInterrupt

    monkeypatch.setattr(CameraSource, "frames", frames)
    monkeypatch.setattr(PredictionFolder, "write_frame", stopped)
    code, _ = command("0", f"--out={tmp_path}/out", "--overlay")
    assert code == 0
    assert [row["frames"] for row in table(tmp_path / "out" / "clips.csv")] == ["12"]
    assert len(list((tmp_path / "out" / "overlay").glob("*.mp4"))) == 1
