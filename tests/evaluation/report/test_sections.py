"""What the sections of a page say agrees with the scores, and they stand what an evaluation may lack."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from cardpose.common.packet import Batch, ModelOutput
from cardpose.evaluation.metrics.frame_metrics import FrameMetrics
from cardpose.evaluation.metrics.results import FrameResult, frame_results
from cardpose.evaluation.report.sections import (
    BEST_FRAMES,
    corner_section,
    count_section,
    frame_sections,
    interval_section,
    score_section,
    visibility_section,
)
from cardpose.evaluation.report.tables import video_rows
from cardpose.fusion.intervals import Interval
from cardpose.fusion.settings import FusionConfig
from cardpose.fusion.videos import flag_frames, interval_scores
from cardpose.geometry.affine import apply_affine

COUNTS = (3, 20, 33, 47)
VIDEOS = [f"videos/{count}.mp4" for count in COUNTS]
INTERVAL = Interval(floor=2.0, slope=0.1, noise=0.5, videos=8)


@pytest.fixture(scope="module")
def evaluated() -> tuple[list[FrameResult], FrameMetrics]:
    """Forty frames of four videos, predicted a little wrong."""
    generator = torch.Generator().manual_seed(3)

    def noise(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    video = torch.arange(40) % 4
    corners = torch.rand(40, 8, 2, generator=generator) * 200
    visibility = torch.randint(1, 3, (40, 8), generator=generator)
    batch: Batch = {
        "image": torch.zeros(40, 3, 1, 1),
        "corners": corners,
        "visibility": visibility,
        "cards": torch.tensor(COUNTS)[video].float(),
        "video": video,
        "frame_index": torch.arange(40) * 5,
        "to_source": torch.eye(2, 3).repeat(40, 1, 1),
        "source_size": torch.tensor([[640.0, 480.0]]).repeat(40, 1),
    }
    batch["source_corners"] = apply_affine(batch["to_source"], batch["corners"])
    prediction = ModelOutput(
        corners=corners + 3 * noise(40, 8, 2),
        confidence=torch.ones(40, 8),
        visibility=((visibility - 1) * 2.0 - 1 + noise(40, 8)).sigmoid(),
        cards=batch["cards"] + 3 * noise(40),
        cards_std=torch.full((40,), torch.nan),
    )
    metrics = FrameMetrics(25.0, FusionConfig())
    flags = flag_frames(prediction, batch, FusionConfig())
    metrics.update(prediction, batch, flags)
    return frame_results(prediction, batch, flags, VIDEOS), metrics


Evaluated = tuple[list[FrameResult], FrameMetrics]


def test_texts_state_what_the_scores_are(evaluated: Evaluated) -> None:
    results, metrics = evaluated
    scores = {f"test/{key}": float(value) for key, value in metrics.compute().items()}
    table = score_section(scores).table
    assert table is not None
    assert table.rows[0][1:3] == [f"{scores['test/card_mae']:.2f}", f"{scores['test/card_mae_video']:.2f}"]
    assert f"mean error {scores['test/card_mae']:.2f} cards" in count_section(results).pictures[0].alt
    assert f"{scores['test/visibility_ece']:.3f}" in visibility_section(results).text[0]
    rows = video_rows(results, INTERVAL, FusionConfig())
    held = interval_scores(metrics.videos(), INTERVAL)
    text = interval_section(rows, np.full(4, INTERVAL.videos)).text[0]
    assert f"{held['interval_coverage'] * 4:.0f} of 4" in text
    assert f"{held['interval_width']:.1f} cards wide" in text
    assert "on 8 validation videos" in text


def test_tables_from_a_file_state_the_same(evaluated: Evaluated) -> None:
    rows = video_rows(evaluated[0], INTERVAL, FusionConfig())
    rows[0]["low"] = rows[0]["high"] = math.nan
    read = [{key: "" if value != value else str(value) for key, value in row.items()} for row in rows]
    calibrated_on = np.array([8, 8, 6, 6])
    first, second = interval_section(rows, calibrated_on), interval_section(read, calibrated_on)
    assert first.text == second.text
    assert "on 6, 8 validation videos" in first.text[0]
    for one, other in zip(first.pictures, second.pictures, strict=True):
        assert np.array_equal(one.image, other.image)


def test_what_is_missing_is_reported(evaluated: Evaluated) -> None:
    results, _ = evaluated
    unknown = [replace(result, cards=math.nan) for result in results]
    assert count_section(unknown).text == ["No frame has a known count."]
    for rows, calibrated_on in (
        (video_rows(results, None, FusionConfig()), 0),
        (video_rows(unknown, INTERVAL, FusionConfig()), 8),
    ):
        section = interval_section(rows, np.full(4, calibrated_on))
        assert not section.pictures
        assert section.text
    bare = [replace(result, visibility=np.zeros(8, int)) for result in results]
    assert not corner_section(bare).pictures
    assert frame_sections([replace(r, cards=math.nan) for r in bare], lambda _: np.zeros((4, 4, 3))) == []


def test_an_interval_that_no_video_has_is_held_by_none(evaluated: Evaluated) -> None:
    rows = video_rows([replace(result, flag=1) for result in evaluated[0]], INTERVAL, FusionConfig())
    text = interval_section(rows, np.full(4, 8)).text[0]
    assert "held 0 of 4" in text
    assert "of undefined width" in text


def test_corners_that_are_swapped_are_counted_by_kind(evaluated: Evaluated) -> None:
    results, _ = evaluated
    mirrored = [replace(r, corners_predicted=r.corners[[1, 0, 2, 3, 4, 5, 6, 7]]) for r in results]
    table = corner_section(mirrored).table
    assert table is not None
    found = {row[0]: row[1:] for row in table.rows}
    assert found["left/right"] == ("80", "25.00%", "40")
    assert found["its own"] == ("240", "75.00%", "40")


def test_the_worst_and_the_best_frames_are_shown_in_order(evaluated: Evaluated) -> None:
    results, _ = evaluated
    drawn: list[FrameResult] = []

    def draw(result: FrameResult) -> np.ndarray:
        drawn.append(result)
        return np.zeros((4, 4, 3), np.uint8)

    sections = frame_sections(results, draw, most=4)
    assert [section.sheet for section in sections] == [
        "worst_cards",
        "best_cards",
        "worst_corners",
        "best_corners",
    ]
    by_cards = sorted(results, key=lambda result: result.card_error)
    assert drawn[:4] == by_cards[:-5:-1]
    assert drawn[4 : 4 + BEST_FRAMES] == by_cards[:BEST_FRAMES]
    by_corners = sorted(results, key=lambda result: result.corner_px_mean)
    assert drawn[-BEST_FRAMES:] == by_corners[:BEST_FRAMES]
    picture = sections[0].pictures[0]
    assert f"{drawn[0].video} frame {drawn[0].frame_index}" in picture.alt
    assert "\n" not in picture.alt


def test_frames_without_a_label_are_neither_best_nor_worst(evaluated: Evaluated) -> None:
    unknown = [replace(result, cards=math.nan) for result in evaluated[0]]
    sections = frame_sections(unknown, lambda _: np.zeros((4, 4, 3), np.uint8))
    assert [section.sheet for section in sections] == ["worst_corners", "best_corners"]


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_diverged_model_still_has_a_report(evaluated: Evaluated, value: float) -> None:
    results = [
        replace(
            result,
            cards_predicted=value,
            corners_predicted=np.full((8, 2), value),
            visible_probability=np.full(8, math.nan),
            corner_px=np.full(8, value),
        )
        for result in evaluated[0]
    ]
    rows = video_rows(results, INTERVAL, FusionConfig())
    parts = [
        count_section(results),
        interval_section(rows, np.full(4, 8)),
        visibility_section(results),
        corner_section(results),
    ]
    assert all(part.pictures for part in parts)
    assert "held 0 of 4" in parts[1].text[0]
    assert parts[3].table is not None
    assert parts[3].table.rows[-1][:3] == ("none", "320", "100.00%")
