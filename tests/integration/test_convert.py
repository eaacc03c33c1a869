from pathlib import Path
from typing import get_args

import pytest
from in_process import Command

from cardpose.common.errors import InputError
from cardpose.convert import Layout, main
from cardpose.data.footage.folder import DatasetFolder
from cardpose.data.formats.converting import NAMES, convert


def test_convert_copies_a_folder_as_it_is(tiny_folder: Path, tmp_path: Path) -> None:
    folder = convert("folder", tiny_folder, tmp_path / "out")
    assert folder.videos == DatasetFolder.read(tiny_folder).videos
    files = [path.relative_to(tiny_folder) for path in tiny_folder.rglob("*") if path.is_file()]
    assert all((tmp_path / "out" / f).read_bytes() == (tiny_folder / f).read_bytes() for f in files)


def test_convert_complains_in_one_line(tiny_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--from yolo: no such format: choose folder, cardcut, coco, cvat"):
        convert("yolo", tiny_folder, tmp_path / "out")
    with pytest.raises(InputError, match="lies in "):
        convert("folder", tiny_folder, tiny_folder / "out")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").write_text("mine")
    with pytest.raises(InputError, match="exists already and is not empty"):
        convert("folder", tiny_folder, tmp_path / "full")
    assert [path.name for path in tmp_path.rglob("*")] == ["full", "letter.txt"]


def test_command_writes_out_and_nothing_else(
    in_process: Command, tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = in_process(main, str(tiny_folder), "--from", "folder", "--out", "copy")
    assert done.code == 0, done.err
    assert done.out.splitlines()[-1] == "copy"
    assert len(DatasetFolder.read(tmp_path / "copy").annotations) == 42
    assert [path for path in tmp_path.iterdir() if path.name != "copy" and any(path.iterdir())] == []


def test_the_choices_of_the_command_are_the_layouts() -> None:
    assert set(get_args(Layout)) == set(NAMES)
