"""Test frames predicted from their source: one answer of network, second look and edges in tables, scores and page."""

import csv
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cardpose.common.packet import ModelOutput
from cardpose.data.cache import open_or_build
from cardpose.data.dataset import CardDataset
from cardpose.data.footage.folder import DatasetFolder
from cardpose.edges.counting import EdgeCount, EdgeCounter
from cardpose.evaluation.metrics.results import FrameResult
from cardpose.evaluation.report import test_result
from cardpose.evaluation.report.sections import edge_sections
from cardpose.evaluation.report.tables import write_tables
from cardpose.fusion.clips import Flag
from cardpose.fusion.intervals import Interval
from cardpose.fusion.settings import FusionConfig
from cardpose.prediction import predictor as predicting
from cardpose.prediction.predictor import Predictor
from cardpose.prediction.tested import predict_again

NEW_COLUMNS = ["method", "edges", "edges_probability", "pixels_a_card"]
SILENT = EdgeCount(0, 0.0, math.nan, "no side visible")


@pytest.fixture
def tested(tiny_folder: Path, tmp_path: Path) -> test_result.TestResult:
    """The tiny footage, corners as labelled and counts one too high; the first frame shows no packet."""
    footage = DatasetFolder.read(tiny_folder)
    labels = footage.annotations
    cache = open_or_build(footage, [label.frame_id for label in labels], (48, 64), tmp_path / "cache")
    dataset = CardDataset(cache, labels, range(len(labels)), [video.file for video in footage.videos])
    results = [
        FrameResult(
            video=label.video,
            frame_index=label.frame_index,
            cards=float(label.cards or math.nan),
            cards_predicted=float(label.cards or math.nan) + 1,
            cards_std=math.nan,
            flag=int(Flag.GOOD if row else Flag.NO_PACKET),
            corners=label.corners.astype(float),
            visibility=label.visibility,
            corners_predicted=np.nan_to_num(label.corners.astype(float)),
            confidence=(label.visibility > 0).astype(float),
            visible_probability=np.ones(8),
            corner_px=np.zeros(8),
            thickness_px=np.zeros(4),
        )
        for row, label in enumerate(labels)
    ]
    return test_result.TestResult(
        metrics={"test/card_mae": 1.0, "test/pck_5": 1.0},
        results=results,
        frames=test_result.Frames(dataset, footage),
        footage="",
        constant=20.0,
        interval=Interval(floor=2.0, slope=0.1, noise=0.5, videos=8),
        fusion=FusionConfig(),
        training=(9999, 99, None),
    )


class Labels:
    """A backend that gives the labels of the tested frames and counts that are one too high, as the test did.

    Args:
        again: whether each frame is looked at a second time; then the count is two too high.
    """

    size, field_of_view = (48, 64), 90.0

    def __init__(self, tested: test_result.TestResult, again: bool = False) -> None:
        self.interval, self.fusion = tested.interval, FusionConfig(second_look=float(again))
        self.waiting = [result for result in tested.results if result.flag == Flag.GOOD]
        self.frames, self.again, self.first = tested.frames, again, list[FrameResult]()

    def __call__(self, images: np.ndarray) -> ModelOutput[np.ndarray]:
        second = bool(self.first)
        shown = self.first or [self.waiting.pop(0) for _ in images]
        assert len(shown) == len(images)
        if not second:
            for image, result in zip(images, shown, strict=True):
                label = self.frames.image(result)  # of the network's size, which is that of the source here
                assert np.abs(image.astype(int) - label).mean() < 3
        self.first = shown if self.again and not second else []
        counts = np.array([result.cards + 1 + second for result in shown]), np.full(len(shown), np.nan)
        found = np.stack([(result.visibility > 0).astype(float) for result in shown])
        corners = np.stack([np.nan_to_num(result.corners) for result in shown])
        return ModelOutput(corners, found, np.ones((len(shown), 8)), *counts)


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_small_footage_is_not_looked_at(tested: test_result.TestResult, tmp_path: Path) -> None:
    assert predict_again(tested, lambda: Predictor(Labels(tested))) is tested
    write_tables(tmp_path, tested.results, tested.videos)
    for name in ("frames.csv", "videos.csv"):
        assert not set(NEW_COLUMNS) & set(read_csv(tmp_path / name)[0])
    assert edge_sections(tested.results) == []


def test_tables_scores_and_page_have_the_one_answer(
    tested: test_result.TestResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, *_, last = dict.fromkeys(result.video for result in tested.results)
    true = {result.video: int(result.cards) for result in tested.results}
    large = [result for result in tested.results if result.flag == Flag.GOOD]
    waiting = iter(large)

    def counter(image: np.ndarray, box: object, focal: float) -> EdgeCount:
        """Sure of the first video, likely right in the second, sure and wrong in the last, else silent."""
        result = next(waiting)
        assert focal == pytest.approx(0.5)
        cards = true[result.video]
        votes = {first: (cards, 0.95), second: (cards, 0.7), last: (cards + 3, 0.95)}
        return EdgeCount(*votes[result.video], 3.0) if result.video in votes else SILENT

    monkeypatch.setattr(EdgeCounter, "from_file", lambda: counter)
    monkeypatch.setattr(predicting, "MIN_SIDE", 64)
    answered = predict_again(tested, lambda: Predictor(Labels(tested)))
    assert next(waiting, None) is None

    write_tables(tmp_path, answered.results, answered.videos)
    frames, videos = read_csv(tmp_path / "frames.csv"), read_csv(tmp_path / "videos.csv")
    for rows, key in ((frames, "test/card_mae"), (videos, "test/card_mae_video")):
        assert list(rows[0])[-4:] == NEW_COLUMNS
        errors = [float(row["card_error"]) for row in rows if row["card_error"]]
        assert np.mean(errors) == pytest.approx(answered.metrics[key], rel=1e-12)
    assert answered.metrics["test/pck_5"] == 1.0
    assert answered.metrics["test/interval_coverage"] == pytest.approx((len(videos) - 1) / len(videos))
    assert [frames[0][name] for name in NEW_COLUMNS] == ["thickness", "", "", ""]
    by_video = {row["video"]: row for row in videos}
    assert [by_video[first][name] for name in NEW_COLUMNS] == ["edges", str(true[first]), "0.95", "3.0"]
    assert by_video[first]["low"] == by_video[first]["high"] == str(float(true[first]))
    assert by_video[second]["method"] == "both"
    assert float(by_video[second]["low"]) < true[second] < float(by_video[second]["high"])
    other = next(row for row in videos if row["video"] not in (first, second, last))
    assert [other[name] for name in NEW_COLUMNS] == ["thickness", "", "0.0", ""]

    (section,) = edge_sections(answered.results)
    assert f"looked at in {len(large)} of {len(answered.results)} frames" in section.text[0]
    sure, likely, silent = section.table.rows if section.table else []
    assert sure[0] == "edges"
    assert int(sure[1]) == sum(result.video in (first, last) for result in large)
    assert sure[3] == sure[2] != "100%"
    assert likely[2:] == ["100%", "100%", "0.00", "1.00"]
    assert silent[2:] == ["0%", "100%", "1.00", "1.00"]


def test_a_second_look_is_in_tables_and_scores(tested: test_result.TestResult, tmp_path: Path) -> None:
    tested = replace(tested, fusion=FusionConfig(second_look=1.0))
    backend = Labels(tested, again=True)
    answered = predict_again(tested, lambda: Predictor(backend))
    assert not backend.waiting
    first, *others = zip(tested.results, answered.results, strict=True)
    assert first[0] is first[1]  # no packet
    for before, after in others:
        assert after.flag == Flag.GOOD
        assert after.cards_predicted == before.cards_predicted + 1
        assert after.cards == before.cards
        moved = np.linalg.norm(after.corners_predicted - after.corners, axis=1)
        np.testing.assert_allclose(after.corner_px[after.visibility > 0], moved[after.visibility > 0])
    write_tables(tmp_path, answered.results, answered.videos)
    frames = read_csv(tmp_path / "frames.csv")
    assert not set(NEW_COLUMNS) & set(frames[0])
    errors = [float(row["card_error"]) for row in frames if row["card_error"]]
    assert answered.metrics["test/card_mae"] == pytest.approx(np.mean(errors), rel=1e-12)
    measured = np.concatenate([r.corner_px[r.visibility > 0] for r in answered.results])
    assert answered.metrics["test/corner_px_mean"] == pytest.approx(measured.mean(), rel=1e-12)
    assert answered.metrics["test/visibility_f1"] > 0
