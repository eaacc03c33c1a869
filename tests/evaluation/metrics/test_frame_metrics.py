"""Scores against plain loops, and what must hold of them: perfection, and no trace of the batches."""

import copy
import math

import numpy as np
import pytest
import torch
from torch import Tensor

from cardpose.common.packet import BACK_DIAGONALS, CORNERS, VERTICAL_EDGES, Batch, ModelOutput
from cardpose.evaluation.metrics.frame_metrics import (
    FrameMetrics,
    back_diagonal,
    card_scores,
    corner_scores,
    thickness_scores,
)
from cardpose.fusion.settings import FusionConfig
from cardpose.fusion.videos import flag_frames
from cardpose.geometry.affine import apply_affine

FRAMES = 23
CONSTANT = 20.25
FUSION = FusionConfig()


def make_frames(seed: int = 0, frames: int = FRAMES) -> tuple[ModelOutput[Tensor], Batch]:
    """Random labels, some without count or corner, and predictions some way off; videos mixed up."""
    generator = torch.Generator().manual_seed(seed)
    corners = torch.rand(frames, 8, 2, generator=generator) * torch.tensor([255.0, 191.0])
    visibility = torch.randint(0, 3, (frames, 8), generator=generator)
    corners[visibility == 0] = 0
    video = torch.randint(0, 5, (frames,), generator=generator)
    cards = 3.0 + 9 * video
    cards[::6] = torch.nan
    to_source = torch.tensor([[2.5, 0.0, 0.75], [0.0, 2.5, 0.75]]).repeat(frames, 1, 1)
    batch: Batch = {
        "image": torch.zeros(frames, 3, 1, 1),
        "corners": corners,
        "visibility": visibility,
        "cards": cards,
        "video": video,
        "frame_index": torch.arange(frames),
        "to_source": to_source,
        "source_size": torch.tensor([[640.0, 480.0]]).repeat(frames, 1),
        "source_corners": apply_affine(to_source, corners),
    }
    noise = torch.randn(frames, 8, 2, generator=generator) * 12
    prediction = ModelOutput(
        corners=apply_affine(to_source, corners) + noise,
        confidence=0.5 + torch.rand(frames, 8, generator=generator),  # every frame shows a packet
        visibility=torch.rand(frames, 8, generator=generator),
        cards=3.0 + 9 * video + 3.9 * torch.rand(frames, generator=generator),  # too near to be outliers
        cards_std=torch.full((frames,), torch.nan),
    )
    return prediction, batch


def rows(prediction: ModelOutput[Tensor], batch: Batch, part: slice) -> tuple[ModelOutput[Tensor], Batch]:
    return ModelOutput(*(value[part] for value in prediction)), {
        name: value[part] for name, value in batch.items()
    }  # type: ignore[return-value]


def update(metrics: FrameMetrics, prediction: ModelOutput[Tensor], batch: Batch) -> None:
    metrics.update(prediction, batch, flag_frames(prediction, batch, FUSION))


def scores_in_batches(size: int) -> dict[str, float]:
    prediction, batch = make_frames()
    metrics = FrameMetrics(CONSTANT, FUSION)
    for start in range(0, FRAMES, size):
        update(metrics, *rows(prediction, batch, slice(start, start + size)))
    return {name: float(value) for name, value in metrics.compute().items()}


@pytest.mark.parametrize("size", [1, 2, 5, 22])
def test_scores_do_not_depend_on_the_batch_size(size: int) -> None:
    assert FRAMES % size or size == 1, "the last batch is to be smaller"
    assert scores_in_batches(size) == scores_in_batches(FRAMES)


def test_perfect_predictions_score_perfectly() -> None:
    _, batch = make_frames()
    visible = (batch["visibility"] == 2).float()
    corners = apply_affine(batch["to_source"], batch["corners"])
    metrics = FrameMetrics(CONSTANT, FUSION)
    perfect = ModelOutput(
        corners, torch.ones_like(visible), visible, batch["cards"], torch.ones(len(visible))
    )
    update(metrics, perfect, batch)
    scores = {name: float(value) for name, value in metrics.compute().items()}
    for name in (
        "card_mae",
        "card_rmse",
        "card_mae_video",
        "card_rmse_video",
        "corner_px_mean",
        "corner_px_median",
        "thickness_px_bias",
        "thickness_px_mae",
    ):
        assert scores[name] == 0, name
    shares = [f"card_within_{k}{suffix}" for k in (1, 2) for suffix in ("", "_video")] + ["pck_5"]
    for name in [*shares, "visibility_accuracy", "visibility_f1", "visibility_auroc"]:
        assert scores[name] == 1, name
    assert scores["card_mae_constant"] > 0


def test_card_scores_equal_a_plain_loop() -> None:
    prediction, batch = make_frames()
    pred, true = prediction.cards.double().numpy(), batch["cards"].double().numpy()
    video = batch["video"].numpy()
    known = [i for i in range(FRAMES) if not math.isnan(true[i])]
    errors = [pred[i] - true[i] for i in known]
    expected = {
        "card_mae": np.mean([abs(error) for error in errors]),
        "card_rmse": math.sqrt(np.mean([error**2 for error in errors])),
        "card_within_1": np.mean([abs(round(pred[i]) - true[i]) <= 1 for i in known]),
        "card_within_2": np.mean([abs(round(pred[i]) - true[i]) <= 2 for i in known]),
        "card_mae_constant": np.mean([abs(CONSTANT - true[i]) for i in known]),
    }
    quarters = {v: np.sort(np.repeat([pred[i] for i in known if video[i] == v], 4)) for v in video[known]}
    estimates = {v: ordered[len(ordered) // 4 : -len(ordered) // 4].mean() for v, ordered in quarters.items()}
    counts = {video[i]: true[i] for i in known}
    expected["card_mae_video"] = np.mean([abs(estimates[v] - counts[v]) for v in counts])
    expected["card_mae_video_constant"] = np.mean([abs(CONSTANT - counts[v]) for v in counts])
    got = scores_in_batches(4)
    for name, value in expected.items():
        assert got[name] == pytest.approx(value, rel=1e-12), name


def test_corner_scores_equal_a_plain_loop() -> None:
    prediction, batch = make_frames()
    pred = prediction.corners.double().numpy()
    true = apply_affine(batch["to_source"], batch["corners"]).double().numpy()
    labelled = batch["visibility"].numpy() > 0
    errors, found = [], []
    for i in range(FRAMES):
        diagonals = [
            np.linalg.norm(true[i, a] - true[i, b]) for a, b in BACK_DIAGONALS if labelled[i, [a, b]].all()
        ]
        for corner in np.flatnonzero(labelled[i]):
            errors.append(np.linalg.norm(pred[i, corner] - true[i, corner]))
            if diagonals:
                found.append(errors[-1] <= 0.05 * max(diagonals))
    assert 0 < np.mean(found) < 1
    assert len(found) < len(errors), "some frame is to have no diagonal"
    got = scores_in_batches(7)
    assert got["corner_px_mean"] == pytest.approx(np.mean(errors), rel=1e-12)
    assert got["corner_px_median"] == pytest.approx(np.median(errors), rel=1e-12)
    assert got["pck_5"] == np.mean(found)


def test_thickness_scores_equal_a_plain_loop() -> None:
    prediction, batch = make_frames()
    pred = prediction.corners.double().numpy()
    true = apply_affine(batch["to_source"], batch["corners"]).double().numpy()
    labelled = batch["visibility"].numpy() > 0
    names = ("upper_left_face", "upper_right_face", "lower_left_face", "lower_right_face")
    pairs = [(CORNERS.index(name), CORNERS.index(name.replace("face", "back"))) for name in names]
    errors = [
        np.linalg.norm(pred[i, a] - pred[i, b]) - np.linalg.norm(true[i, a] - true[i, b])
        for i in range(FRAMES)
        for a, b in pairs
        if labelled[i, a] and labelled[i, b]
    ]
    assert 0 < len(errors) < 4 * FRAMES
    got = scores_in_batches(7)
    assert got["thickness_px_bias"] == pytest.approx(np.mean(errors), rel=1e-12)
    assert got["thickness_px_mae"] == pytest.approx(np.mean(np.abs(errors)), rel=1e-12)


def test_a_packet_seen_too_thin_has_a_bias_below_0() -> None:
    target, visibility = torch.zeros(2, 8, 2), torch.full((2, 8), 2)
    for face, back in VERTICAL_EDGES:
        target[:, face, 1], target[:, back, 1] = 50.0, 40.0
    shifted = target + torch.tensor([7.0, -3.0])  # every corner is off alike: the thickness is right
    assert all(value == 0 for value in thickness_scores(shifted, target, visibility).values())
    thin = target.clone()
    thin[:, [back for _, back in VERTICAL_EDGES], 1] += 2.0
    scores = thickness_scores(thin, target, visibility)
    assert (scores["thickness_px_bias"], scores["thickness_px_mae"]) == (-2, 2)


def test_labels_of_missing_corners_do_not_matter() -> None:
    prediction, batch = make_frames()
    target = apply_affine(batch["to_source"], batch["corners"])
    before = corner_scores(prediction.corners, target, batch["visibility"])
    elsewhere = target.masked_fill((batch["visibility"] == 0)[..., None], torch.nan)
    after = corner_scores(prediction.corners, elsewhere, batch["visibility"])
    assert {name: float(v) for name, v in before.items()} == {name: float(v) for name, v in after.items()}


def test_back_diagonal_takes_the_longer_labelled_one() -> None:
    corners = torch.zeros(8, 2)
    (a, b), (c, d) = BACK_DIAGONALS
    corners[b], corners[d] = torch.tensor([30.0, 40.0]), torch.tensor([6.0, 8.0])
    all_labelled, first_missing, both_missing = (torch.full((8,), 2) for _ in range(3))
    first_missing[a] = 0
    both_missing[[a, c]] = 0
    diagonal = back_diagonal(
        corners.expand(3, 8, 2), torch.stack([all_labelled, first_missing, both_missing])
    )
    assert diagonal[:2].tolist() == [50, 10]
    assert diagonal[2].isnan()


def test_frames_without_a_count_give_nan_and_leave_the_rest() -> None:
    prediction, batch = make_frames()
    unknown: Batch = {**batch, "cards": torch.full((FRAMES,), torch.nan)}
    metrics = FrameMetrics(CONSTANT, FUSION)
    update(metrics, prediction, unknown)
    scores = metrics.compute()
    assert scores["card_mae"].isnan()
    assert scores["card_within_1_video"].isnan()
    assert scores["corner_px_mean"] > 0


def test_a_prediction_that_is_nan_is_not_hidden() -> None:
    nan = torch.tensor([torch.nan, 10.0])
    scores = card_scores(nan, torch.full((2,), 10.0), nan[:1], torch.tensor([10.0]), CONSTANT)
    assert scores["card_mae"].isnan()
    assert scores["card_mae_video"].isnan()
    assert scores["card_within_1"] == 0.5


def test_no_labelled_corner_gives_nan() -> None:
    nothing = torch.zeros(2, 8, 2), torch.zeros(2, 8, 2), torch.zeros(2, 8, dtype=torch.long)
    for scores in (corner_scores(*nothing), thickness_scores(*nothing)):
        assert all(value.isnan() for value in scores.values())


def test_reset_forgets_frames_and_keeps_the_constant() -> None:
    metrics = FrameMetrics(CONSTANT, FUSION)
    update(metrics, *make_frames(seed=1))
    metrics.reset()
    update(metrics, *make_frames())
    assert {name: float(value) for name, value in metrics.compute().items()} == scores_in_batches(FRAMES)


def test_the_constant_travels_with_the_weights() -> None:
    restored = FrameMetrics(math.nan, FUSION)
    restored.load_state_dict(FrameMetrics(CONSTANT, FUSION).state_dict())
    restored = copy.deepcopy(restored)
    update(restored, *make_frames())
    assert float(restored.compute()["card_mae_constant"]) == scores_in_batches(FRAMES)["card_mae_constant"]


def test_affine_stays_exact_under_autocast() -> None:
    def move() -> Tensor:
        return apply_affine(
            torch.tensor([[[2.5, 0.0, 0.75], [0.0, 2.5, 0.75]]]), torch.tensor([[[241.3, 0.0]]])
        )

    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(move(), torch.tensor([[[241.3 * 2.5 + 0.75, 0.75]]]))
