"""cardpose suggest: a list that names real frames, that outlives an interruption."""

import csv
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from itertools import cycle
from pathlib import Path

import numpy as np
import pytest

from cardpose.check import check
from cardpose.data.footage.folder import DatasetFolder, write_folder
from cardpose.labelling import suggesting
from cardpose.labelling.checks.findings import Kind
from cardpose.labelling.suggesting import COLUMNS
from cardpose.labelling.suggestion import Features
from cardpose.prediction import predictor
from cardpose.prediction.predictor import Predictor
from cardpose.prediction.torch_backend import TorchBackend
from cardpose.suggest import suggest

Run = Callable[..., list[dict[str, str]]]


@pytest.fixture
def half(tiny_folder: Path, tmp_path: Path) -> Path:
    """The tiny footage, of which three videos are labelled."""
    root = Path(shutil.copytree(tiny_folder, tmp_path / "half"))
    folder = DatasetFolder.read(root)
    known = {video.file for video in folder.videos[:3]}
    write_folder(root, folder.videos, [a for a in folder.annotations if a.video in known])
    return root


@pytest.fixture
def run(half: Path, drawn_checkpoint: Path, tmp_path: Path) -> Run:
    """run(**arguments): the rows of the list."""

    def suggested(**arguments: int) -> list[dict[str, str]]:
        out = tmp_path / "list" / "suggest.csv"
        suggest(half, str(drawn_checkpoint), out=out, accelerator="cpu", **arguments)
        assert [path.name for path in out.parent.iterdir()] == ["suggest.csv"], "nothing else stays"
        with out.open() as stream:
            table = csv.DictReader(stream)
            assert tuple(table.fieldnames or ()) == COLUMNS
            return list(table)

    return suggested


def test_frames_without_a_label_are_listed_once(run: Run, half: Path) -> None:
    folder = DatasetFolder.read(half)
    labelled = {(a.video, a.frame_index) for a in folder.annotations}
    rows = run(stride=2, n=7)
    frames = [(row["video"], int(row["frame_index"])) for row in rows]
    assert len(set(frames)) == 7
    assert not set(frames) & labelled
    assert all(index % 2 == 0 and index < 8 for _, index in frames)
    assert all(0 <= float(row["score"]) <= 1 and row["why"] for row in rows)
    assert run(stride=2, n=7) == rows
    assert len(run(stride=2, n=500)) == 11, "all that there are"


def test_frames_that_wait_in_the_folder_are_preferred(run: Run, half: Path) -> None:
    """Images of annotations.json without an annotation, as cardpose.subsample leaves them."""
    document = json.loads((half / "annotations.json").read_text())
    image = document["images"][0]
    waiting = [
        image | {"id": 1000 + i, "video": "videos/41.mp4", "frame_index": i, "timestamp": None}
        for i in (1, 3, 5)
    ]
    document["images"] += waiting
    (half / "annotations.json").write_text(json.dumps(document))
    rows = run(stride=4, n=500)
    assert {int(row["frame_index"]) for row in rows if row["video"] == "videos/41.mp4"} == {1, 3, 5}
    assert {int(row["frame_index"]) for row in rows if row["video"] == "videos/52.mp4"} == {0, 4}


def test_features_are_those_of_the_frames_where_some_are_looked_at_twice(
    half: Path, drawn_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = DatasetFolder.read(half)
    video, frames = folder.videos[0].file, list(range(6))
    monkeypatch.setattr(suggesting, "BATCH_SIZE", 4)

    def features(name: str) -> np.ndarray:
        backend = TorchBackend(drawn_checkpoint)
        scorer = suggesting.CandidateScorer(Predictor(backend), Features(backend), name)
        return scorer.observe(folder, video, frames, tmp_path / name, lambda count: None).features

    once = features("once")
    turns = cycle([False, True, True])
    monkeypatch.setattr(Predictor, "_looks_twice", lambda *_: next(turns))
    monkeypatch.setattr(predictor, "cut_out", lambda item, *_: replace(item, image=item.image[::-1]))
    np.testing.assert_allclose(features("twice"), once, atol=1e-6)


def test_suggest_goes_on_without_a_listed_frame_that_is_not_there(
    run: Run, half: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """And `check` names it."""
    document = json.loads((half / "annotations.json").read_text())
    document["images"].append(
        document["images"][0] | {"id": 1000, "video": "videos/41.mp4", "frame_index": 99, "timestamp": None}
    )
    (half / "annotations.json").write_text(json.dumps(document))
    assert run()
    assert "videos/41.mp4: has no frame 99, which annotations.json lists: left out" in caplog.text
    assert check(half, out=half / "checked").findings[0].kind is Kind.GONE


def test_footage_without_any_label(run: Run, half: Path) -> None:
    (half / "annotations.json").unlink()
    assert len(run(stride=2, n=500)) == 22


def test_an_interrupted_run_continues(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What was looked at is not looked at again, and the list is the same."""
    whole = run(stride=2)
    seen: list[int] = []
    predict = Predictor.predict

    def stop(self: Predictor, prepared: list[object]) -> object:
        seen.append(len(prepared))
        if len(seen) == 5:
            raise KeyboardInterrupt
        return predict(self, prepared)  # type: ignore[arg-type]

    monkeypatch.setattr(Predictor, "predict", stop)
    with pytest.raises(KeyboardInterrupt):
        run(stride=2, n=49)
    parts = tmp_path / "list" / ".suggest.csv.parts"
    kept = len(list(parts.glob("*.npz")))
    assert kept == 4
    seen.clear()
    monkeypatch.setattr(
        Predictor, "predict", lambda self, prepared: (seen.append(len(prepared)), predict(self, prepared))[1]
    )
    assert run(stride=2) == whole
    assert len([n for n in seen if n]) == 2, "two of six videos were left"
