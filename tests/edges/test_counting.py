"""Marks to a count: what is counted, what is doubted, and why nothing is said."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from cardpose.common.errors import InputError
from cardpose.edges.calibration import fit_choice, fit_sure, held_out
from cardpose.edges.classical import COUNTERS
from cardpose.edges.counting import CHOICE, FEATURES, FILE, EdgeCounter, StripCount, choose, weigh_counts
from cardpose.edges.network import EdgeNetwork
from cardpose.edges.rendering import KINDS, render_strip
from cardpose.edges.strips import COLUMNS, ROWS, Strip
from cardpose.edges.tracing import INSIDE, LINE, STRIDE
from cardpose.edges.training import load, save, targets
from cardpose.models.released import ZOO

SEEN = np.ones(COLUMNS // STRIDE, bool)


def read(marks: np.ndarray, seen: np.ndarray = SEEN) -> StripCount | None:
    """Of marks, with the brightness that would have made them."""
    evidence = weigh_counts(marks, seen, 5.0, 5 * marks[LINE])
    return choose(evidence, np.ones(CHOICE)) if evidence else None


def marks_of(cards: int) -> np.ndarray:
    """Marks without a fault, of a packet of this many cards."""
    lines = 30 + ROWS * (np.arange(cards)[:, None] + 0.5) + np.zeros(COLUMNS)
    marks = targets(lines, np.ones(COLUMNS, bool), 60 + cards * ROWS)[:3]
    marks[:2] = 8 * marks[:2] - 4
    return marks


@pytest.mark.parametrize("cards", [1, 2, 3, 26, 104])
def test_marks_without_a_fault_are_counted(cards: int) -> None:
    reading = read(marks_of(cards))
    assert reading is not None
    assert reading.cards == cards
    assert reading.features.shape == (FEATURES,)
    assert reading.evidence.choice.shape == (len(reading.evidence.counts), CHOICE)
    assert reading.evidence.agreement.max() == 1
    assert reading.card_mm == pytest.approx(0.3, rel=0.1)


def test_columns_that_disagree_are_outvoted() -> None:
    marks = marks_of(20)
    marks[:, :, 0] = -4  # a finger hides a column
    marks[LINE, 30 + 8 * ROWS :, 1] = -4  # and the lower part of another one
    marks[INSIDE, 30 + 8 * ROWS :, 1] = -4
    reading = read(marks)
    assert reading is not None
    assert reading.cards == 20
    assert reading.evidence.agreement.max() == 1


def test_a_covered_or_unseen_side_has_no_count() -> None:
    assert read(np.full((3, 100, COLUMNS // STRIDE), -4.0, np.float32)) is None
    assert read(marks_of(20), ~SEEN) is None


def silent(strip: np.ndarray) -> np.ndarray:
    """Marks nothing."""
    return np.full((3, len(strip), COLUMNS // STRIDE), -20.0, np.float32)


@pytest.mark.parametrize(
    ("elevation", "distance", "reason"),
    [
        (1.5, 170.0, "no side visible"),
        (0.35, 900.0, "too few pixels a card"),
        (0.35, 170.0, "no edges of cards"),
    ],
)
def test_the_reason_where_nothing_is_said(elevation: float, distance: float, reason: str) -> None:
    from test_strips import FOCAL, SIZE, box_of, corners_of, view

    corners = corners_of(20, view(20, elevation=elevation, distance=distance))
    blank = np.full((SIZE[1], SIZE[0], 3), 128, np.uint8)
    found = EdgeCounter(silent)(blank, box_of(corners), FOCAL)
    assert (found.cards, found.reason, found.vote) == (0, reason, None)


def test_a_file_that_is_none_of_its_weights_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "edges.onnx"
    path.write_bytes(b"\x08 not a model")
    with pytest.raises(InputError, match=r"edges\.onnx: not a whole ONNX file"):
        EdgeCounter.from_file(path)
    with pytest.raises(InputError, match="no such file"):
        EdgeCounter.from_file(tmp_path / "missing.onnx")
    with pytest.raises(InputError, match=r"packet-fast\.onnx: not the counter of edges"):
        EdgeCounter.from_file(ZOO / "packet-fast.onnx")


def test_weights_to_train_further_are_read_safely(tmp_path: Path) -> None:
    path = tmp_path / "edges.pt"
    with pytest.raises(InputError, match=r"edges\.pt: no such file"):
        load(path)
    save(EdgeNetwork(), None, path)
    assert load(path)[1] == {}
    torch.save({"state_dict": {}}, path)
    with pytest.raises(InputError, match=r"edges\.pt: not a counter of edges"):
        load(path)
    path.write_bytes(b"PK not a checkpoint")
    with pytest.raises(InputError, match=r"edges\.pt: holds more than weights"):
        load(path)


@pytest.mark.parametrize(("strength", "reason"), [(0.0, "blurred"), (3.0, "columns disagree")])
def test_an_unlikely_count_is_not_said(strength: float, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from test_strips import FOCAL, box_of, corners_of, striped, view

    counter = EdgeCounter(silent, None, np.array([*np.zeros(FEATURES), -5.0]))
    reading = read(marks_of(20))
    assert reading is not None
    unlikely = replace(reading, evidence=replace(reading.evidence, strength=strength))
    monkeypatch.setattr(counter, "read", lambda strip: unlikely)
    camera = view(20)
    found = counter(striped(20, camera), box_of(corners_of(20, camera)), FOCAL)
    assert (found.cards, found.reason, found.vote) == (0, reason, None)


def test_the_other_side_is_used_where_one_is_covered(monkeypatch: pytest.MonkeyPatch) -> None:
    from test_strips import FOCAL, box_of, corners_of, striped, view

    counter = EdgeCounter(silent, None, np.array([*np.zeros(FEATURES), 2.0]))
    readings = iter([None, read(marks_of(20))])
    monkeypatch.setattr(counter, "read", lambda strip: next(readings))
    camera = view(20)
    found = counter(striped(20, camera), box_of(corners_of(20, camera)), FOCAL)
    assert found.cards == 20
    assert found.probability == pytest.approx(0.88, abs=0.01)


def test_the_released_counter_needs_no_torch() -> None:
    code = (
        "import sys, numpy\n"
        "from cardpose.edges.counting import EdgeCounter\n"
        "print(EdgeCounter.from_file().mark(numpy.zeros((120, 24, 3), numpy.float32)).shape, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "(3, 120, 6) False"


def test_the_released_counter() -> None:
    assert FILE.stat().st_size < 2_000_000
    counter = EdgeCounter.from_file()
    exact = sure = wrong = 0
    for number in range(12):
        strip = render_strip(np.random.default_rng([31, number]), 20, 260, top=10, pitch=7.0)
        reading = counter.read(Strip(strip.image, np.ones(COLUMNS, bool), 7.0, np.array([60.0, 180.0])))
        if reading is None:
            continue
        exact += reading.cards == 20
        sure += counter.probability(reading) > 0.9
        wrong += counter.probability(reading) > 0.9 and reading.cards != 20
    assert exact >= 7
    assert wrong <= 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_rendered_strip(kind: str) -> None:
    first, second = (
        render_strip(np.random.default_rng(3), 20, 240, 24, top=10, pitch=5.0, kind=kind) for _ in range(2)
    )
    assert first.image.shape == (240, 24, 3)
    assert np.array_equal(first.image, second.image)
    assert len(first.lines) == (20 if kind == "packet" else 0)
    assert (np.diff(first.lines, axis=0) > 0).all()
    assert first.clear.shape == (24,)


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


def test_the_choice_learns_which_estimate_to_trust() -> None:
    reading = read(marks_of(20))
    assert reading is not None
    rng, found = np.random.default_rng(0), []
    for _ in range(60):
        choice = rng.normal(0, 1, reading.evidence.choice.shape)
        cards = int(reading.evidence.counts[np.argmax(choice[:, 2])])  # one column of noise is the truth
        found.append((replace(reading.evidence, choice=choice), cards))
    weights = fit_choice(found)
    assert weights[2] > 3 * np.abs(np.delete(weights, 2)).max()


def test_the_probability_is_that_of_the_fit() -> None:
    rng = np.random.default_rng(0)
    x = np.stack([rng.normal(0, 1, 4000), np.ones(4000)], 1)
    y = (rng.random(4000) < 1 / (1 + np.exp(-(2 * x[:, 0] - 1)))).astype(float)
    assert fit_sure(x, y) == pytest.approx([2, -1], abs=0.2)
