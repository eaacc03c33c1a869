"""Pictures: what is drawn where, and that the input is left alone."""

import numpy as np
import pytest
import torch

from cardpose.common.packet import CORNERS, HIDDEN, NOT_LABELLED, VISIBLE, Annotation
from cardpose.data.splits import Split
from cardpose.evaluation.metrics.results import FrameResult
from cardpose.evaluation.report.drawing import (
    CORNER_COLOURS,
    PREDICTED_EDGES,
    caption,
    contact_sheet,
    draw_heatmaps,
    draw_names,
    draw_packet,
    draw_result,
    heatmap_grid,
    to_picture,
)
from cardpose.evaluation.report.plots import error_by_count, scatter_cards, split_map
from cardpose.models.heatmaps import encode

GREY = np.full((120, 160, 3), 90, np.uint8)
BOX = np.array([[40, 30], [120, 30], [40, 20], [120, 20], [30, 100], [130, 100], [30, 85], [130, 85]], float)


def make_result(**changes: object) -> FrameResult:
    fields: dict[str, object] = {
        "video": "videos/7.mp4",
        "frame_index": 12,
        "cards": 7.0,
        "cards_predicted": 8.25,
        "cards_std": 1.5,
        "flag": 0,
        "corners": BOX,
        "visibility": np.full(8, VISIBLE),
        "corners_predicted": BOX + np.array([3.0, 4.0]),
        "confidence": np.full(8, 0.9),
        "visible_probability": np.full(8, 0.8),
        "corner_px": np.full(8, 5.0),
        "thickness_px": np.full(4, 1.0),
    }
    return FrameResult(**(fields | changes))  # type: ignore[arg-type]


def has_colour(image: np.ndarray, point: np.ndarray, colour: tuple[int, int, int], reach: int = 8) -> bool:
    """Whether a pixel near `point` is drawn in `colour`, antialiasing allowed for."""
    x, y = np.rint(point).astype(int)
    patch = image[max(0, y - reach) : y + reach + 1, max(0, x - reach) : x + reach + 1].astype(int)
    return bool((np.abs(patch - colour).max(axis=-1) < 40).any())


def test_corner_colours_differ() -> None:
    assert len(set(CORNER_COLOURS)) == len(CORNERS)


@pytest.mark.parametrize("mark", ["circle", "cross"])
def test_each_corner_has_its_colour_and_the_input_is_left_alone(mark: str) -> None:
    before = GREY.copy()
    drawn = draw_packet(GREY, BOX, np.full(8, VISIBLE), mark=mark)  # type: ignore[arg-type]
    assert np.array_equal(before, GREY)
    for i in range(8):
        assert has_colour(drawn, BOX[i], CORNER_COLOURS[i]), CORNERS[i]


def test_a_corner_without_label_is_left_out_with_its_edges() -> None:
    def on_lower_edge_of_the_back(visibility: np.ndarray) -> np.ndarray:
        return draw_packet(GREY, BOX, visibility)[85, 45:115]

    visibility = np.full(8, VISIBLE)
    assert not (on_lower_edge_of_the_back(visibility) == 90).all(axis=-1).any()
    visibility[CORNERS.index("lower_right_back")] = NOT_LABELLED
    assert (on_lower_edge_of_the_back(visibility) == 90).all()
    assert np.array_equal(draw_packet(GREY, BOX, np.full(8, NOT_LABELLED)), GREY)


def test_names_stand_outside_of_the_packet_and_within_the_picture() -> None:
    large = np.full((360, 480, 3), 90, np.uint8)
    corners = (BOX + 0.5) * 3 - 0.5
    visibility = np.full(8, VISIBLE)
    visibility[0] = NOT_LABELLED
    drawn = draw_names(large, corners, visibility)
    assert (large == 90).all()
    inside = drawn[int(corners[:, 1].min()) : int(corners[:, 1].max()), 125:355]
    assert (inside == 90).all()
    for i in range(8):
        side = -1 if "left" in CORNERS[i] else 1
        text = drawn[round(corners[i, 1]) - 8 : round(corners[i, 1]) + 6, :]
        beside = text[:, : round(corners[i, 0])] if side < 0 else text[:, round(corners[i, 0]) :]
        assert (beside > 200).all(axis=2).any() == (i > 0), CORNERS[i]  # white
    assert np.array_equal(draw_names(large, np.full((8, 2), np.nan), np.full(8, VISIBLE)), large)
    draw_names(GREY, BOX - 100, np.full(8, VISIBLE))  # off the picture


def test_heatmaps_lie_over_their_corners() -> None:
    maps = encode(
        torch.from_numpy(BOX)[None], torch.full((1, 8), VISIBLE), size=(120, 160), stride=4, sigma=0.8
    )
    drawn = draw_heatmaps(GREY, maps[0].numpy())
    for i in (0, 4, 7):  # the others' peaks overlap at this stride
        own = draw_heatmaps(GREY, maps[0].numpy() * (np.arange(8) == i)[:, None, None])
        y, x = np.unravel_index(own.sum(axis=2, dtype=int).argmax(), own.shape[:2])
        assert np.abs(BOX[i] - (x, y)).max() <= 2, CORNERS[i]
    assert drawn.shape == GREY.shape
    assert (drawn[60, 5] == 45).all()  # half as bright where no corner is
    wild = np.full((8, 30, 40), np.nan)
    assert (draw_heatmaps(GREY, wild) == 45).all()
    assert (draw_heatmaps(GREY, wild * 0 + 9) <= 255).all()


def test_hidden_edges_are_dashed() -> None:
    def grey_pixels(visibility: int) -> int:
        drawn = draw_packet(GREY, BOX, np.full(8, visibility))
        return int((drawn[100, 45:115] == GREY[0, 0]).all(axis=-1).sum())  # along the lower edge of the face

    assert grey_pixels(VISIBLE) == 0
    assert 20 < grey_pixels(HIDDEN) < 50


@pytest.mark.parametrize("far", [1e9, -1e9, np.nan, np.inf])
def test_wild_predictions_do_not_stop_the_drawing(far: float) -> None:
    wild = BOX.copy()
    wild[0] = far
    result = make_result(corners_predicted=wild)
    assert draw_result(GREY, np.eye(2, 3), result).shape == (240, 320, 3)


def test_results_are_drawn_in_the_pictures_own_pixels() -> None:
    to_source = np.array([[4.0, 0.0, 1.5], [0.0, 4.0, 1.5]])  # the source frame is 4 times as large
    in_source = (BOX + 0.5) * 4 - 0.5
    result = make_result(corners=in_source, corners_predicted=in_source)
    drawn = draw_result(GREY, to_source, result, factor=3)
    assert drawn.shape == (360, 480, 3)
    for i in range(8):
        assert has_colour(drawn, (BOX[i] + 0.5) * 3 - 0.5, CORNER_COLOURS[i])
    assert has_colour(drawn, (BOX[4] + BOX[5]) * 1.5 + 1, PREDICTED_EDGES)


def test_pictures_come_back_from_the_normalised_image() -> None:
    image = torch.randint(0, 256, (3, 12, 16), generator=torch.Generator().manual_seed(0)).byte()
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    normalised = (image / 255 - mean.view(3, 1, 1)) / std.view(3, 1, 1)
    assert np.array_equal(to_picture(normalised, mean, std), image.permute(1, 2, 0).numpy())


def test_heatmap_grid_shows_predictions_above_targets() -> None:
    predicted, target = np.zeros((8, 24, 32)), np.ones((8, 24, 32))
    grid = heatmap_grid(predicted, target, tile_width=100)
    upper, lower = grid[30, 50].astype(int), grid[grid.shape[0] // 2 + 30, 50].astype(int)
    assert upper.sum() < 200 < 400 < lower.sum()  # viridis: dark violet is 0, bright yellow 1
    assert grid.shape[1] == 8 * 104


@pytest.mark.parametrize(("count", "shape"), [(1, (1, 1)), (4, (2, 3)), (6, (2, 3))])
def test_contact_sheet_lays_out_rows(count: int, shape: tuple[int, int]) -> None:
    one = contact_sheet([GREY], ["a caption\nmuch too long for its tile, much too long for it"])
    sheet = contact_sheet([GREY] * count, ["a\nb"] * count, columns=3)
    assert sheet.shape == (shape[0] * one.shape[0], shape[1] * one.shape[1], 3)
    assert sheet.dtype == np.uint8
    assert one.shape[1] == GREY.shape[1] + 4


def test_caption_states_what_is_unknown() -> None:
    assert caption(make_result()) == "videos/7.mp4 frame 12\ncards 7, predicted 8.2\ncorner error 5.0 px"
    assert "cards ?, predicted" in caption(make_result(cards=float("nan")))


def test_plots_show_the_frames_of_known_count() -> None:
    predicted = np.linspace(-5, 70, 40)

    def blue_pixels(known: int) -> tuple[int, ...]:
        true = np.full(40, np.nan)
        true[:known] = np.linspace(1, 52, 40).round()[:known]
        plots = scatter_cards(predicted, true), error_by_count(predicted, true, 26.0)
        assert [plot.shape for plot in plots] == [(900, 900, 3), (900, 1050, 3)]
        return tuple(int((plot[..., 2] > plot[..., 0] + 60.0).sum()) for plot in plots)

    assert blue_pixels(0)[0] < blue_pixels(1)[0]
    for few, many in zip(blue_pixels(1), blue_pixels(40), strict=True):
        assert few < many


def test_a_split_map_has_a_mark_for_each_frame() -> None:
    annotations = [
        Annotation(f"videos/{n}.mp4", index, 0.0, 64, 48, np.zeros((8, 2)), np.zeros(8), cards)
        for n, cards in enumerate((30, None, 4))
        for index in range(4)
    ]
    frames = [(a.video, a.frame_index) for a in annotations]

    def pixels(train: int, val: int, test: int) -> list[int]:
        split = Split(*(tuple(frames[a:b]) for a, b in ((0, train), (train, train + val), (12 - test, 12))))
        plot = split_map(annotations, split)[70:].astype(int)  # below the legend
        assert plot.shape == (215, 1200, 3)
        colours = (0xCC, 0xCC, 0xCC), (0x00, 0x72, 0xB2), (0xD5, 0x5E, 0x00)
        return [int((np.abs(plot - colour).max(axis=2) < 8).sum()) for colour in colours]

    few, many = pixels(4, 1, 2), pixels(4, 2, 6)
    assert few[0] == many[0] > 0
    assert 0 < few[1] < many[1]
    assert 0 < few[2] < many[2]


def test_plots_of_a_diverged_model_do_not_fail() -> None:
    assert scatter_cards(np.array([np.nan, 3.0]), np.array([4.0, 4.0])).shape == (900, 900, 3)
    assert error_by_count(np.array([np.nan, np.inf]), np.array([4.0, 4.0])).shape == (900, 1050, 3)
