"""Marks to a count: what is counted, what is doubted, and why nothing is said."""

from pathlib import Path

import numpy as np
import pytest
import torch

from cardpose.common.errors import InputError
from cardpose.common.packet import NUM_CORNERS
from cardpose.edges.classical import COUNTERS
from cardpose.edges.counting import FEATURES, FILE, EdgeCounter, Reading, read_marks
from cardpose.edges.network import EdgeNetwork
from cardpose.edges.rendering import KINDS, render_strip
from cardpose.edges.strips import COLUMNS, ROWS, Strip
from cardpose.edges.training import held_out, targets

SEEN = np.ones(COLUMNS // 2, bool)


def read(marks: np.ndarray, seen: np.ndarray = SEEN) -> Reading | None:
    """Of marks, with the brightness that would have made them."""
    return read_marks(marks, seen, 5.0, 40 * (marks[0] - 0.35))


def marks_of(cards: int, slope: float = 0.0) -> np.ndarray:
    """Marks without a fault, of a packet of this many cards that leans."""
    x = np.linspace(-1, 1, COLUMNS)
    lines = 30 + ROWS * (np.arange(cards)[:, None] + 0.5) + slope * x
    return targets(lines, 60 + cards * ROWS)


@pytest.mark.parametrize("cards", [1, 2, 3, 26, 104])
def test_marks_without_a_fault_are_counted(cards: int) -> None:
    reading = read(marks_of(cards, slope=4.0))
    assert reading is not None
    assert reading.cards == cards
    assert reading.features.shape == (FEATURES,)
    assert reading.features[0] == 1
    assert reading.card_mm == pytest.approx(0.3, rel=0.05)


def test_columns_that_disagree_are_outvoted() -> None:
    marks = marks_of(20)
    marks[0, 30 + 5 * ROWS : 30 + 6 * ROWS, : COLUMNS // 6] = (
        0  # a finger hides one line on a third of the side
    )
    reading = read(marks)
    assert reading is not None
    assert reading.cards == 20
    assert reading.features[0] == 1  # the chain of lines goes on across the gap
    assert reading.features[2] < 0.8


def test_a_covered_or_unseen_side_has_no_count() -> None:
    assert read(np.zeros((2, 100, COLUMNS // 2), np.float32)) is None
    assert read(marks_of(20), ~SEEN) is None


@pytest.mark.parametrize(
    ("corners", "weights", "side", "reason"),
    [
        (np.zeros((NUM_CORNERS, 2)), np.zeros(NUM_CORNERS), 2016, "no side visible"),
        (None, np.ones(NUM_CORNERS), 320, "too few pixels a card"),
        (None, np.ones(NUM_CORNERS), 2016, "no edges of cards"),
    ],
)
def test_the_reason_where_nothing_is_said(
    corners: np.ndarray | None, weights: np.ndarray, side: int, reason: str
) -> None:
    from test_strips import FOCAL, SIZE, corners_of, view

    corners = corners_of(20, view(20)) * side / SIZE[0] if corners is None else corners
    blank = np.full((side * 3 // 4, side, 3), 128, np.uint8)
    network = EdgeNetwork()
    torch.nn.init.constant_(network.last[-1].bias, -20.0)  # marks nothing
    found = EdgeCounter(network, None)(blank, corners, weights, FOCAL)
    assert (found.cards, found.reason, found.vote) == (0, reason, None)


def test_a_file_that_is_none_of_its_weights_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "edges.pt"
    path.write_bytes(b"PK not a checkpoint")
    with pytest.raises(InputError, match=r"edges\.pt: not the weights"):
        EdgeCounter.from_file(path)
    with pytest.raises(InputError, match="not the weights"):
        EdgeCounter.from_file(tmp_path / "missing.pt")


def test_the_released_counter() -> None:
    assert FILE.stat().st_size < 2_000_000
    counter = EdgeCounter.from_file()
    exact = sure = wrong = 0
    for number in range(12):
        strip = render_strip(np.random.default_rng([31, number]), 20, 260, top=10, pitch=7.0)
        reading = counter.read(Strip(strip.image, np.ones(COLUMNS, bool), 7.0, np.array([60.0, 180.0])))
        assert reading is not None
        exact += reading.cards == 20
        sure += counter.probability(reading) > 0.9
        wrong += counter.probability(reading) > 0.9 and reading.cards != 20
    assert exact >= 5
    assert wrong <= 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_rendered_strip(kind: str) -> None:
    first, second = (
        render_strip(np.random.default_rng(3), 20, 240, 48, top=10, pitch=5.0, kind=kind) for _ in range(2)
    )
    assert first.image.shape == (240, 48, 3)
    assert np.array_equal(first.image, second.image)
    assert len(first.lines) == (20 if kind == "packet" else 0)
    assert (np.diff(first.lines, axis=0) > 0).all()


def test_held_out_strips_hold_the_whole_packet() -> None:
    for number in range(5):
        drawn, strip, cards = held_out(1, number)
        if drawn.kind == "packet":
            assert len(drawn.lines) == cards
            assert drawn.lines.min() > 0
            assert drawn.lines.max() < strip.image.shape[0]


@pytest.mark.parametrize("name", COUNTERS)
def test_a_classical_counter_counts_clean_lines(name: str) -> None:
    y = np.arange(240)
    wave = 128 + 60 * np.cos(2 * np.pi * (y - 60 - ROWS / 2 + 0.5) / ROWS)
    strip = np.repeat(np.repeat(wave[:, None, None], COLUMNS, 1), 3, 2).astype(np.uint8)
    assert abs(COUNTERS[name](strip, np.array([60.0, 180.0])) - 20) <= 1
