import os
import subprocess
import sys
from pathlib import Path

import pytest

from cardpose.convert import convert
from cardpose.data.folder import DatasetFolder
from cardpose.errors import InputError


def run(*overrides: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    command = [sys.executable, "-m", "cardpose.convert", *overrides]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


def test_convert_copies_a_folder_as_it_is(tiny_folder: Path, tmp_path: Path) -> None:
    folder = convert("folder", tiny_folder, tmp_path / "out")
    assert folder.videos == DatasetFolder.read(tiny_folder).videos
    files = [path.relative_to(tiny_folder) for path in tiny_folder.rglob("*") if path.is_file()]
    assert all((tmp_path / "out" / f).read_bytes() == (tiny_folder / f).read_bytes() for f in files)


def test_convert_complains_in_one_line(tiny_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="from=yolo: no such format: choose folder, cardcut, coco, cvat"):
        convert("yolo", tiny_folder, tmp_path / "out")
    with pytest.raises(InputError, match="lies in root="):
        convert("folder", tiny_folder, tiny_folder / "out")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").write_text("mine")
    with pytest.raises(InputError, match="exists already and is not empty"):
        convert("folder", tiny_folder, tmp_path / "full")
    assert [path.name for path in tmp_path.rglob("*")] == ["full", "letter.txt"]


def test_command_writes_out_and_nothing_else(tiny_folder: Path, tmp_path: Path) -> None:
    done = run("from=folder", f"root={tiny_folder}", "out=copy", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "copy"
    assert len(DatasetFolder.read(tmp_path / "copy").annotations) == 42
    assert [path for path in tmp_path.iterdir() if path.name != "copy" and any(path.iterdir())] == []


def test_command_names_the_missing_key_with_exit_code_2(tmp_path: Path) -> None:
    done = run("from=cardcut", "out=copy", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.splitlines() == ["cardpose.convert: root is not given: add root=<folder>"]
