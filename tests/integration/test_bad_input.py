"""A user's mistake: exit code 2, one line that names what to mend, nothing left behind."""

import os
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from omegaconf import DictConfig

from cardpose import check, convert, crossval, evaluate, export, label, suggest, sweep_table, synthesize
from cardpose import train as training
from cardpose.models.checkpoints import KEY

Compose = Callable[..., DictConfig]
Command = Callable[..., str]

MAINS = {
    "train": training.main,
    "crossval": crossval.main,
    "evaluate": evaluate.main,
    "synthesize": synthesize.main,
    "convert": convert.main,
    "sweep_table": sweep_table.main,
    "export": export.main,
    "check": check.main,
    "suggest": suggest.main,
    "label": label.main,
}


@pytest.fixture
def refused(
    global_state: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Command:
    """refused("train", *overrides) runs the entry in an empty folder; its one line on stderr."""
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)

    def run(entry: str, *overrides: str) -> str:
        monkeypatch.setattr(sys, "argv", [f"cardpose.{entry}", *overrides])
        with pytest.raises(SystemExit) as stop:
            MAINS[entry]()
        assert stop.value.code == 2
        err = capfd.readouterr().err
        assert "Traceback" not in err
        lines = [line for line in err.splitlines() if re.match(rf"cardpose[ .]{entry}: ", line)]
        assert len(lines) == 1, err
        assert not [path for path in work.rglob("*") if path.is_file()]
        return lines[0]

    return run


def test_no_such_folder(refused: Command, tmp_path: Path) -> None:
    assert f"{tmp_path}/none: no such folder" in refused("train", "data=folder", f"data.root={tmp_path}/none")


def test_a_folder_without_videos(refused: Command, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "videos.csv" in refused("train", "data=folder", f"data.root={tmp_path}/empty")


def test_a_root_that_is_not_given(refused: Command) -> None:
    assert "data.root is not given: add data.root=" in refused("train", "experiment=cardcut")


def test_a_split_that_leaves_a_set_empty(refused: Command, tiny_folder: Path) -> None:
    line = refused("train", "data=folder", f"data.root={tiny_folder}", "split.folds=2", "split.val_videos=3")
    assert "split.val_videos=3" in line


def test_a_loss_that_does_not_exist(refused: Command, tiny_folder: Path) -> None:
    assert "foo" in refused("train", "data=folder", f"data.root={tiny_folder}", "+loss.foo=1", *FITTING)


def test_soft_labels_without_a_width(refused: Command, tiny_folder: Path) -> None:
    footage = ("data=folder", f"data.root={tiny_folder}", *FITTING)
    line = refused("train", *footage, "count_head=distribution", "count_head.sigma=0")
    assert line.endswith("count_head.sigma=0: choose a number above 0")


@pytest.mark.parametrize(
    ("override", "named"),
    [
        ("data.size=[100,128]", "data.size=[100, 128]"),
        ("heatmap.stride=3", "heatmap.stride=3"),
        ("heatmap.decode=drak", "heatmap.decode=drak: choose argmax, quadratic, dark, softargmax"),
        ("+loss.heatmap_loss=focal", "loss.heatmap_loss=focal was removed: leave it out"),
        ("loss.card_loss=huber", "loss.card_loss was removed: leave it out, the loss of the count is"),
        ("loss=focal", "loss=focal was removed: use loss=default"),
        ("count_head=ordinal", "count_head=ordinal was removed: use count_head=distribution"),
        ("model.head.detach=no_way", "model.head.detach=no_way: choose true or false"),
        ("loss.coordinates=-1", "loss.coordinates=-1: choose a number from 0"),
        ("loss.cards=much", "loss.cards=much: choose a number from 0"),
        ("data.batch_size=99", "data.batch_size=99"),
        ("data.stride=0", "data.stride=0"),
        ("trainer.memory_format=nhwc", "trainer.memory_format=nhwc"),
        ("augment.warp.rotate_deg=90", "augment.warp.rotate_deg=90"),
    ],
)
def test_a_value_that_cannot_work_names_its_key(
    refused: Command, tiny_folder: Path, tmp_path: Path, override: str, named: str
) -> None:
    cache = f"paths.cache={tmp_path}/cache"
    assert named in refused("train", "data=folder", f"data.root={tiny_folder}", *FITTING, cache, override)


FITTING = ("split.folds=3", "split.val_videos=1", "data.num_workers=0", "trainer.accelerator=cpu")


def truncated(path: Path) -> None:
    torch.save({"state_dict": {}, "x": torch.zeros(1000)}, path)
    path.write_bytes(path.read_bytes()[:2000])


class Code:
    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, ("made",)


def with_code(path: Path) -> None:
    torch.save({KEY: Code()}, path)


@pytest.mark.parametrize("key", ["resume", "init_from", "ckpt"])
@pytest.mark.parametrize("damage", [truncated, with_code])
def test_a_damaged_checkpoint(
    refused: Command, tmp_path: Path, tiny_folder: Path, key: str, damage: Callable[[Path], None]
) -> None:
    path = tmp_path / "run" / "checkpoints" / "a.ckpt"
    path.parent.mkdir(parents=True)
    damage(path)
    rest = {"init_from": ["data=folder", f"data.root={tiny_folder}"]}.get(key, [])
    line = refused("evaluate", str(path)) if key == "ckpt" else refused("train", f"{key}={path}", *rest)
    assert str(path) in line
    assert list(path.parent.iterdir()) == [path]


def test_a_resume_of_nothing(refused: Command, tmp_path: Path) -> None:
    assert "no such checkpoint" in refused("train", f"resume={tmp_path}/run/checkpoints/last.ckpt")
    assert not (tmp_path / "run").exists()


def test_evaluate_without_a_checkpoint(refused: Command) -> None:
    assert "missing argument 'MODEL [MODEL]'" in refused("evaluate")


def test_export_refuses_in_one_line(refused: Command, tmp_path: Path) -> None:
    truncated(tmp_path / "a.ckpt")
    model, out = str(tmp_path / "a.ckpt"), f"--out={tmp_path}/a.pt2"
    assert "'--format': 'onxx'" in refused("export", model, out, "--format=onxx")
    assert "missing argument 'MODEL'" in refused("export", out)
    assert f"{model}: truncated" in refused("export", model, out, "--format=torch")


def test_a_truncated_video(refused: Command, tiny_folder: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_folder, tmp_path / "footage"))
    video = folder / "videos" / "08.mp4"
    video.write_bytes(video.read_bytes()[:300])
    assert str(video) in refused("train", "data=folder", f"data.root={folder}", *FITTING)


@pytest.mark.parametrize(
    ("overrides", "named"),
    [
        ((), "give either --out with a new folder or --into with a dataset folder"),
        (("--out=a", "--into=b"), "give either --out with a new folder or --into with a dataset folder"),
        (("--to=cvat", "--into=b"), "--into b: is for dataset folders: remove --to cvat"),
        (("--to=yolo", "--out=a"), "'yolo' is not one of 'folder', 'cardcut', 'coco'"),
        (("--from=yolo", "--out=a"), "'yolo' is not one of 'folder', 'cardcut', 'coco'"),
        (("--from=cvat", "--into=none"), "none: no such folder"),
    ],
)
def test_conversions_that_cannot_be_made(
    refused: Command, tiny_folder: Path, overrides: tuple[str, ...], named: str
) -> None:
    assert named in refused("convert", str(tiny_folder), *overrides)


@pytest.mark.parametrize(
    ("entry", "words", "named"),
    [
        ("convert", ("--out=a",), "missing argument 'ROOT'"),
        ("check", (), "missing argument 'FOLDER'"),
        ("check", ("none",), "none: no such folder"),
        ("check", ("none", "--residual=0"), "--residual 0.0: choose a number above 0"),
        ("check", ("none", "--residual=-1"), "'--residual': should be greater than or equal to 0"),
        (
            "check",
            ("none", "--duplicate-threshold=much"),
            "'--duplicate-threshold': should be a valid number",
        ),
        ("check", ("none", "--pictures=-1"), "'--pictures': should be greater than or equal to 0"),
        ("suggest", ("--model=a",), "missing argument 'FOLDER'"),
        ("suggest", ("none", "--model={model}"), "none: no such folder"),
        ("suggest", ("none", "--model=none"), "none: no such file"),
        ("suggest", ("none", "--model={onnx}"), "a.onnx: an ONNX file has no features to compare"),
        ("suggest", ("none", "--model=a", "-n", "0"), "'-n': should be greater than or equal to 1"),
        ("suggest", ("none", "--model=a", "--stride=1.5"), "'--stride': should be a valid integer"),
    ],
)
def test_checks_and_suggestions_that_cannot_be_made(
    refused: Command,
    drawn_checkpoint: Path,
    tmp_path: Path,
    entry: str,
    words: tuple[str, ...],
    named: str,
) -> None:
    onnx = tmp_path / "a.onnx"
    onnx.touch()
    assert named in refused(entry, *(word.format(model=drawn_checkpoint, onnx=onnx) for word in words))


def test_a_split_of_other_footage(refused: Command, tiny_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "split.json").write_text('{"train": {"videos/99.mp4": [0]}, "test": {}}')
    line = refused("check", str(tiny_folder), f"--split={tmp_path}/split.json")
    assert "train names videos/99.mp4, which has no labelled frame" in line
    assert "no such file" in refused("check", str(tiny_folder), "--split=none.json").lower()


def test_suggestions_where_all_is_labelled(
    refused: Command, tiny_folder: Path, drawn_checkpoint: Path
) -> None:
    line = refused("suggest", str(tiny_folder), f"--model={drawn_checkpoint}")
    assert "all frames at --stride 10 are labelled: add videos, or lower it" in line


@pytest.mark.parametrize(
    ("override", "named"),
    [
        ("split.fold=1", "cardpose.crossval runs every split.fold"),
        ("split.folds=1", "split.folds=1: choose a whole number from 2"),
        ("split.folds=7", "split.folds=7 of 6 videos: choose 2 to 6"),
        ("split.val_videos=4", "split.val_videos=4"),
        ("resume=outputs/a/checkpoints/last.ckpt", "continue with dir="),
        ("data.batch_size=99", "data.batch_size=99"),
        ("init_from=none.ckpt", "none.ckpt: no such file"),
    ],
)
def test_folds_that_cannot_be_made(
    refused: Command, tiny_folder: Path, tmp_path: Path, override: str, named: str
) -> None:
    arguments = ("data=folder", f"data.root={tiny_folder}", f"paths.cache={tmp_path}/cache", *FITTING)
    assert named in refused("crossval", *arguments, override)


def test_a_split_without_folds(refused: Command, tiny_folder: Path) -> None:
    line = refused("crossval", "data=folder", f"data.root={tiny_folder}", "split=random")
    assert "split has no folds: choose split=by_video" in line


def test_folds_of_footage_that_is_not_given(refused: Command) -> None:
    assert "data.root is not given: add data.root=" in refused("crossval", "experiment=cardcut")


def test_other_footage_in_every_fold(refused: Command) -> None:
    assert "data.test" in refused("crossval", "experiment=zero_shot", "data.test.root=x")


def test_a_dir_that_holds_something_else(refused: Command, tiny_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    arguments = ("data=folder", f"data.root={tiny_folder}", f"paths.cache={tmp_path}/cache", *FITTING)
    for path in ("mine", "mine/notes.txt"):
        line = refused("crossval", *arguments, f"dir={tmp_path}/{path}")
        assert f"dir={tmp_path}/{path}: holds something else" in line
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["notes.txt"]


def test_a_sweep_that_is_not_given_or_not_there(refused: Command, tmp_path: Path) -> None:
    assert "missing argument 'FOLDER'" in refused("sweep_table")
    assert f"{tmp_path}/none: no such folder" in refused("sweep_table", f"{tmp_path}/none")
    (tmp_path / "empty").mkdir()
    assert f"{tmp_path}/empty: holds no finished run" in refused("sweep_table", f"{tmp_path}/empty")


@pytest.mark.parametrize(
    ("overrides", "named"),
    [
        ([], "missing argument 'FOLDER'"),
        (["none"], "none: no such folder"),
        (["{footage}", "--port=many"], "'--port': should be a valid integer"),
        (["{footage}", "--port=70000"], "'--port': should be less than or equal to 65535"),
        (["{footage}", "--host=203.0.113.7"], "203.0.113.7"),
        (["{footage}", "--model=none.ckpt"], "none.ckpt: no such file"),
        (["{footage}", "--frames=none.csv"], "none.csv: no such file"),
    ],
)
def test_a_page_that_cannot_be_shown(
    refused: Command, tiny_folder: Path, tmp_path: Path, overrides: list[str], named: str
) -> None:
    footage = shutil.copytree(tiny_folder, tmp_path / "footage")
    before = {path: path.read_bytes() for path in footage.rglob("*.*") if path.is_file()}
    assert named in refused("label", *(override.format(footage=footage) for override in overrides))
    assert all(path.read_bytes() == data for path, data in before.items())


def test_a_page_without_its_web_server_names_the_extra(
    refused: Command, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in {"starlette", *(name for name in sys.modules if name.startswith("starlette."))}:
        monkeypatch.setitem(sys.modules, name, None)
    for name in ("app", "guard", "serve"):
        monkeypatch.delitem(sys.modules, f"cardpose.labelling.{name}", raising=False)
        monkeypatch.delattr(f"cardpose.labelling.{name}", raising=False)
    assert refused("label", str(tiny_folder)).endswith('pip install -e ".[label]"')
