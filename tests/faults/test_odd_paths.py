"""Pipes, devices, links to themselves and empty files as every reader's input: one line, no waiting."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from in_process import Command

from cardpose import bench, check, convert, evaluate, export, predict, subsample, sweep_table, train
from cardpose.common.errors import InputError
from cardpose.common.files import environment_error
from cardpose.common.images import read_header, read_image
from cardpose.common.json_files import read_json
from cardpose.data.footage.folder import DatasetFolder
from cardpose.labelling.worklist import _csv_rows

OLD = Path(__file__).parents[1] / "fixtures" / "v0_1_0" / "run" / "checkpoints" / "best.ckpt"
READERS: dict[str, tuple[Callable[..., Any], tuple[str, ...]]] = {
    "predict": (predict.main, ("ODD", "--model", str(OLD))),
    "the model": (predict.main, ("a.jpg", "--model", "ODD")),
    "the split": (evaluate.main, (str(OLD), "--data", "footage", "--split", "ODD")),
    "check": (check.main, ("footage", "--split", "ODD")),
    "subsample": (subsample.main, ("ODD", "--out", "out")),
    **{
        f"convert {tool}": (convert.main, ("ODD", "--from", tool, "--out", "out"))
        for tool in ("folder", "coco", "cvat", "label_studio", "deeplabcut")
    },
}


@pytest.fixture
def odd(tmp_path: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with a path of each kind."""
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    Path("device").symlink_to("/dev/zero")
    Path("loop").symlink_to("loop")
    Path("empty").touch()
    Path("footage").symlink_to(tiny_folder)
    return tmp_path


@pytest.mark.parametrize("kind", ["pipe", "device", "loop", "empty"])
@pytest.mark.parametrize("reader", READERS)
def test_what_is_no_file_is_one_line(odd: Path, in_process: Command, reader: str, kind: str) -> None:
    main, words = READERS[reader]
    done = in_process(main, *(kind if word == "ODD" else word for word in words))
    assert done.code == 2, done.err
    assert kind in done.err
    assert done.err.strip().count("\n") == 0, done.err


@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_what_is_no_file_inside_a_folder(odd: Path, kind: str) -> None:
    Path("inside").mkdir()
    for name in ("videos.csv", "annotations.json", "a.csv", "a.jpg"):
        Path("inside", name).symlink_to(Path(kind).absolute())
    for read, name in (
        (DatasetFolder.read, "."),
        (read_json, "annotations.json"),
        (_csv_rows, "a.csv"),
        (read_header, "a.jpg"),
        (read_image, "a.jpg"),
    ):
        with pytest.raises(InputError, match="is a pipe or a device: give a file"):
            read(Path("inside", name))


def test_a_file_without_permission_is_not_called_a_folder_to_write_to() -> None:
    error = environment_error(PermissionError(13, "Permission denied", "best.ckpt"))
    assert str(error) == "best.ckpt: Permission denied: choose another path, or change its permissions"


@pytest.mark.parametrize("entry", [train, bench])
def test_a_run_folder_that_cannot_be_filled_is_left_empty(
    odd: Path, in_process: Command, entry: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is full as Hydra writes its configuration; the error of the system names no file."""
    Path("mine").mkdir()
    Path("mine", "a.txt").write_text("mine")

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("hydra.core.utils._save_config", full)
    for run in ("run", "mine"):
        done = in_process(entry.main, f"hydra.run.dir={run}")
        assert done.code == 2
        assert (
            done.err.strip()
            .splitlines()[-1]
            .endswith("the run folder: No space left on device: choose another hydra.run.dir")
        )
    assert not Path("run").exists()
    assert [path.name for path in Path("mine").iterdir()] == ["a.txt"]


DAMAGES: dict[str, Callable[[Path], object]] = {
    "empty": lambda path: path.write_bytes(b""),
    "cut": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "folder": lambda path: (path.unlink(), path.mkdir()),
    "link": lambda path: (path.unlink(), path.symlink_to("nowhere")),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_run_folder_is_one_line_or_an_answer(
    tmp_path: Path, in_process: Command, damage: Callable[[Path], object]
) -> None:
    runs = [tmp_path / "sweep" / f"seed-{seed}" for seed in range(2)]
    for seed, run in enumerate(runs):
        shutil.copytree(OLD.parents[1], run)
        (run / ".hydra" / "overrides.yaml").write_text(f"- seed={seed}\n")
        (run / "metrics.json").write_text('{"val/card_mae": 3.5}')
    for name in ("checkpoints/best.ckpt", ".hydra/overrides.yaml", "metrics.json"):
        damage(runs[0] / name)
        done = in_process(sweep_table.main, str(tmp_path / "sweep"), "--out", str(tmp_path / "table"))
        assert done.code in (0, 2)
        assert not done.code or len(done.err.splitlines()) == 1, done.err
    for main, out in ((evaluate.main, "report"), (export.main, "model.onnx")):
        done = in_process(main, str(runs[0]), "--out", str(tmp_path / out))
        assert done.code == 2
        assert len(done.err.splitlines()) == 1
        assert not (tmp_path / out).exists()
