"""Libraries that write files themselves on a full disk, and litter under names that differ from run to run."""

import errno
import os
import shutil
import tempfile
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from full_disk import largest_file
from torch import nn

from cardpose.common.errors import InputError
from cardpose.common.files import filled_folder, new_folder, scratch_folder
from cardpose.data.footage.folder import DatasetFolder
from cardpose.data.formats.unpacking import unpacked
from cardpose.data.labels.label_tables import LabelTables
from cardpose.data.labels.store import LabelFolder
from cardpose.deploy.graph import save_program
from cardpose.prediction.output_folder import PredictionFolder
from cardpose.training.loggers import TensorBoard, log_images


@pytest.mark.parametrize("stage", ["training", "test after the training", "scores"])
def test_tensorboard_on_a_full_disk_is_an_error_without_a_traceback(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], stage: str
) -> None:
    """Its events are written by a thread, which would print one; Lightning calls it a value that cannot be logged."""
    logger = TensorBoard(tmp_path, name="tensorboard", version="")
    image = np.random.default_rng(0).integers(0, 256, (99, 99, 3)).astype(np.uint8)
    if stage.startswith("test"):
        logger.log_metrics({"a": 1.0}, 0)
        logger.finalize("success")

    def fill() -> None:
        for step in range(9):
            log_images(logger, {"a": image}, step)
            logger.experiment.flush()

    with largest_file(9999):
        with pytest.raises(OSError, match="File too large") as failed:
            fill()
        logger.experiment.file_writer.event_writer._async_writer._worker.join(60)
        if stage == "scores":
            with pytest.raises(OSError, match="File too large") as failed:
                logger.log_metrics({"a": 1.0}, 9)
    assert failed.value.errno == errno.EFBIG
    assert failed.value.filename == str(tmp_path / "tensorboard")
    assert "Traceback" not in capfd.readouterr().err


def test_a_torch_program_on_a_full_disk_is_an_error(tmp_path: Path) -> None:
    """torch.export.save aborts the process where it writes the file."""
    program = torch.export.export(nn.Linear(64, 64), (torch.zeros(1, 64),))
    with largest_file(9999), pytest.raises(OSError, match="File too large"):
        save_program(program, tmp_path / "a.pt2", {})


def test_litter_of_folders_that_are_named_by_the_time_goes(tmp_path: Path) -> None:
    """The next run has another name; what has files, or is of another command, stays."""
    (tmp_path / "evaluate_2026-11-29_10-00-00").mkdir()
    (tmp_path / ".evaluate_2026-11-29_10-00-00.77.partial").mkdir()
    (tmp_path / ".evaluate_2026-11-29_10-00-00.77.partial" / "frames.csv").write_text("litter")
    (tmp_path / "evaluate_2026-11-29_11-00-00").mkdir()
    (tmp_path / "evaluate_2026-11-29_11-00-00" / "report.html").write_text("mine")
    (tmp_path / ".evaluate_2026-11-29_11-00-00.77.partial").mkdir()
    (tmp_path / ".evaluate_mine.77.partial").mkdir()
    with filled_folder(None, str(tmp_path / "evaluate")) as (folder, partial):
        (partial / "frames.csv").write_text("new")
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"evaluate_2026-11-29_11-00-00", ".evaluate_mine.77.partial", folder.name}


def test_a_folder_with_files_gets_all_new_ones_or_none(tmp_path: Path) -> None:
    """A report, or a page for a web host, is never half of one version and half of another."""
    (tmp_path / "a.html").write_text("old")
    (tmp_path / "mine.txt").write_text("mine")
    before = {path.name: path.read_text() for path in tmp_path.iterdir()}

    def fill() -> None:
        with filled_folder(tmp_path, "") as (_, partial):
            (partial / "a.html").write_text("new")
            (partial / "b.js").write_text("more than nine bytes")

    with largest_file(9), pytest.raises(InputError, match="File too large"):
        fill()
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == before
    with filled_folder(tmp_path, "") as (_, partial):
        (partial / "sub").mkdir()
        (partial / "sub" / "b.js").write_text("new")
        (partial / "a.html").write_text("new")
    names = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file())
    assert names == ["a.html", "mine.txt", "sub/b.js"]
    assert (tmp_path / "a.html").read_text() == "new"
    with (
        pytest.raises(InputError, match=r"/sub: is a folder in the place of a file"),
        filled_folder(tmp_path, "") as (_, partial),
    ):
        (partial / "sub").write_text("new")
    assert (tmp_path / "sub" / "b.js").read_text() == "new"


@pytest.mark.parametrize("room", ["for nothing", "for a copy", "as soon as the copies are gone"])
def test_labels_that_cannot_be_written_leave_no_copies(
    tmp_path: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch, room: str
) -> None:
    """`convert --into` on a full disk."""
    root = Path(shutil.copytree(tiny_folder, tmp_path / "footage"))
    before = {path.name: path.read_bytes() for path in root.iterdir() if path.is_file()}
    folder = DatasetFolder.read(root)
    changed = [replace(label, corners=label.corners + np.float32(0.123)) for label in folder.annotations]
    limit = {"for nothing": 20, "for a copy": len(before["annotations.json"])}.get(room, 10**6)
    if limit == 10**6:
        write = LabelTables.write

        def write_if_free(tables: LabelTables) -> None:
            if list(root.glob("*.bak")):
                raise InputError("a full disk")
            write(tables)

        monkeypatch.setattr(LabelTables, "write", write_if_free)
    with largest_file(limit), pytest.raises(InputError), LabelFolder(root) as opened:
        opened.put_labels(changed, folder.videos)
    after = {path.name: path.read_bytes() for path in root.iterdir() if path.is_file()}
    assert after.keys() - before.keys() == {".label.lock"}
    assert {name: after[name] for name in before} == before


def test_two_commands_at_once_do_not_share_a_folder(tmp_path: Path) -> None:
    """The later one of two that make a folder is refused, and so is the later one of two that append to it."""

    def overtaken() -> None:
        with new_folder(tmp_path / "out") as later:
            (later / "a.csv").write_text("later")
            (tmp_path / "out").mkdir()
            (tmp_path / "out" / "a.csv").write_text("first")

    with pytest.raises(InputError, match=r"out: Directory not empty: .* another command wrote to this one"):
        overtaken()
    assert [path.name for path in tmp_path.rglob("*")] == ["out", "a.csv"]
    assert (tmp_path / "out" / "a.csv").read_text() == "first"
    with PredictionFolder(tmp_path / "p", {}, resume=False) as writing:
        for resume in (False, True):
            again = PredictionFolder(tmp_path / "p", {}, resume=resume)
            with pytest.raises(InputError, match="p: another command writes to this folder"):
                again.__enter__()
        assert (writing.path / "frames.csv").is_file()
    with PredictionFolder(tmp_path / "p", {}, resume=False):
        pass


def test_litter_in_tmpdir_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a killed `convert` had unpacked, but not what another one that runs has."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.xml", "<annotations/>")
    litter = tmp_path / f".cardpose_{os.getuid()}_convert.77.partial"
    (litter / "zip").mkdir(parents=True)
    with scratch_folder("other") as other, unpacked(tmp_path / "a.zip") as (root, _):
        assert root.read_text() == "<annotations/>"
        assert other.is_dir()
        assert not litter.exists()
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]
