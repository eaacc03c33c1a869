"""Predictions beside the true counts."""

import csv
from pathlib import Path

import pytest

from cardpose.common.errors import InputError
from cardpose.edges.measure_clips import main


def write(path: Path, rows: list[dict[str, object]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def folder(path: Path, clip: str) -> Path:
    """A folder that is both predictions and dataset."""
    shot = {"clip": clip, "pixels_a_card": 4.5, "edges": 20, "edges_probability": 0.95}
    silent = {**shot, "edges": "", "edges_probability": ""}
    write(path / "frames.csv", [shot, {**shot, "edges": 21, "edges_probability": 0.6}, silent])
    write(path / "clips.csv", [{"clip": clip, "cards": 20, "method": "edges"}])
    write(path / "videos.csv", [{"file": "videos/0001.mp4", "cards": 20}])
    return path


def test_a_row_a_range_of_pitch_and_one_for_clips(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = folder(tmp_path, "0001.mp4")
    main(path, path)
    lines = capsys.readouterr().out.splitlines()
    assert lines[2] == "| frames of 4 to 6 pixels a card | 3 | 2 | 50 % / 100 % | 33 % | 100 % |"
    assert lines[3] == "| clips | 1 | 1 | 100 % / 100 % | 100 % | 100 % |"


def test_predictions_of_other_videos_are_one_line(tmp_path: Path) -> None:
    path = folder(tmp_path, "other.mp4")
    with pytest.raises(InputError, match=r"clip other\.mp4: not in videos\.csv"):
        main(path, path)
    with pytest.raises(InputError, match=r"videos\.csv: no such file"):
        main(path, tmp_path / "missing")
