"""The page's arithmetic, run by Node, against Python's."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest

from cardpose.common.packet import ModelOutput
from cardpose.fusion.averages import weighted_median, weighted_midmean
from cardpose.fusion.clips import RunningCount, check_and_fit
from cardpose.fusion.intervals import Interval
from cardpose.fusion.settings import FusionConfig
from cardpose.geometry.letterbox import letterbox
from cardpose.prediction import second_look
from cardpose.prediction.predictor import Predictor
from cardpose.prediction.tracking import ConvergenceDetector, CornerTracker

Node = Callable[[str, Any], Any]
BOX = np.array([[18, 16], [38, 13], [18, 14], [38, 11], [23, 33], [48, 29], [23, 31], [48, 27]], float)
"""Corners of a packet in an image of 64x48."""
PRINT = "console.log(JSON.stringify(result, (_, value) => (Number.isNaN(value) ? 'nan' : value)));"
CONFIG = FusionConfig()
INTERVAL = Interval(2.0, 0.1, 0.5, 9)


def numbers(values: Any) -> np.ndarray:
    return np.array(values, dtype=float)  # "nan" becomes NaN


def test_boxes_and_flags(node: Node) -> None:
    """Boxes of noisy, missing, outlying and collapsed corners: one of each flag at least."""
    random = np.random.default_rng(0)
    base = np.array(
        [[70, 60], [150, 50], [70, 52], [150, 42], [90, 130], [190, 115], [90, 120], [190, 105]], float
    )
    corners = base * 2.5 + random.normal(0, 4, (60, 8, 2))
    corners[10:20] += [250, 0]  # cut off
    corners[20:30, 3] += 150  # one misplaced
    corners[30:40] = random.uniform(50, 400, (10, 8, 2))
    confidence = random.uniform(0.2, 1, (60, 8))
    confidence[40:50] *= 0.5
    size = np.tile([640, 480], (60, 1))
    flags, boxes = check_and_fit(confidence, corners, size, CONFIG)
    script = (
        "import { checkAndFit } from './fusion.js';\nconst result = input.corners.map((corners, i) =>"
        " checkAndFit(input.confidence[i], corners, [640, 480], input.config));\n" + PRINT
    )
    given = {"corners": corners.tolist(), "confidence": confidence.tolist(), "config": CONFIG.__dict__}
    found = node(script, given)
    assert set(flags) == {0, 1, 2, 3}
    assert [row["flag"] for row in found] == flags.tolist()
    good = np.isin(flags, (0, 2))
    np.testing.assert_allclose(
        numbers([row["thickness"] for row in found])[good], boxes.box.thickness[good], atol=1e-6
    )
    np.testing.assert_allclose(numbers([row["box"] for row in found])[good], boxes.corners[good], atol=1e-6)


@pytest.mark.parametrize("interval", [INTERVAL, None], ids=["interval", "no interval"])
@pytest.mark.parametrize("known", [True, False], ids=["std", "no std"])
def test_the_running_count(node: Node, interval: Interval | None, known: bool) -> None:
    random = np.random.default_rng(1)
    cards = random.normal(23, 1, 80)
    cards[::9] += 30
    std = random.uniform(0.05, 3, 80) if known else np.full(80, np.nan)
    flags = random.choice([0, 0, 0, 1, 2, 3], 80)
    flags[:6] = [1, 1, 3, 2, 1, 0]
    running, settle, expected = RunningCount(CONFIG, interval), ConvergenceDetector(), []
    for row in zip(cards, std, flags, strict=True):
        clip = running.add(*(np.array([value]) for value in row))
        expected.append([clip.cards, clip.low, clip.high, clip.frames_used, settle(clip)])
    script = (
        "import { RunningCount } from './fusion.js';\n"
        "const running = new RunningCount(input.config, input.interval);\n"
        "const result = input.frames.map(([cards, std, flag]) => running.add({ cards, std: std ?? NaN, flag }))"
        ".map((c) => [c.cards, c.low, c.high, c.frames, Number(c.settled)]);\n" + PRINT
    )
    frames = [[c, s if known else None, f] for c, s, f in zip(cards, std, flags.tolist(), strict=True)]
    given = {"frames": frames, "config": CONFIG.__dict__, "interval": interval and interval.__dict__}
    np.testing.assert_allclose(numbers(node(script, given)), numbers(expected), atol=1e-9)


def test_weighted_median_and_midmean(node: Node) -> None:
    cases = [([3, 1, 2, 10], [1, 1, 1, 1]), ([3, 1, 2, 10], [1, 1, 1, 0]), ([5], [2]), ([1, 1, 4], [1, 3, 1])]
    cases += [([3, None, 1, 2, None, 10, 0], [1, 0, 1, 1, 0, 1, 1]), ([3, None, 1], [1, 1, 1])]
    script = (
        "import { weightedMedian, weightedMidmean } from './fusion.js';\n"
        "const result = input.map(([all, weights]) => [all.map((value) => value ?? NaN), weights])\n"
        "  .map((item) => [weightedMedian(...item), weightedMidmean(...item)]);\n" + PRINT
    )
    arrays = [(np.array(values, float), np.array(weights, float)) for values, weights in cases]
    expected = [(weighted_median(*one), weighted_midmean(*one)) for one in arrays]
    np.testing.assert_allclose(numbers(node(script, cases)), expected, rtol=1e-12)


def test_tracked_corners(node: Node) -> None:
    random = np.random.default_rng(2)
    frames = random.uniform(0, 640, (1, 8, 2)) + random.normal(0, 3, (40, 8, 2)).cumsum(0)
    frames[5:30, 2] = np.nan
    frames[12:15, 4] = np.nan
    tracker = CornerTracker(640)
    expected = [tracker(corners, i / 15) for i, corners in enumerate(frames)]
    script = (
        "import { CornerTracker } from './tracking.js';\nconst tracker = new CornerTracker(640);\nconst result ="
        " input.map((corners, i) => tracker.next(corners.map((c) => c.map((v) => v ?? NaN)), i / 15));\n"
        + PRINT
    )
    given = np.where(np.isnan(frames), None, frames).tolist()
    np.testing.assert_allclose(numbers(node(script, given)), expected, atol=1e-9)


@pytest.mark.parametrize("shape", [(480, 640), (640, 480), (91, 333), (50, 60), (1, 1)], ids=str)
def test_the_letterbox(node: Node, shape: tuple[int, int]) -> None:
    image = np.random.default_rng(3).integers(0, 256, (*shape, 3), np.uint8)
    inner, to_source = letterbox(image, (192, 256))
    rgba = np.concatenate([image, np.full((*shape, 1), 255, np.uint8)], -1)
    script = (
        "import { letterbox } from './letterbox.js';\nconst made = letterbox(input, [192, 256]);\n"
        "const result = { planes: Array.from(made.planes), at: made.toSource([10, 20]) };\n" + PRINT
    )
    made = node(script, {"data": rgba.ravel().tolist(), "height": shape[0], "width": shape[1]})
    planes = numbers(made["planes"]).reshape(3, 192, 256)
    away = np.abs(planes.transpose(1, 2, 0) - inner)
    assert away.max() <= 1
    assert (away > 0).mean() < (0.2 if max(shape) < 192 else 0.02)  # OpenCV enlarges with rounded weights
    np.testing.assert_allclose(made["at"], to_source.astype(float) @ [10, 20, 1], atol=1e-4)


def test_a_part_of_a_frame_is_as_that_part_alone(node: Node) -> None:
    image = np.random.default_rng(4).integers(0, 256, (90, 120, 4), np.uint8)
    parts = [(10, 20, 110, 80), (0, 0, 120, 90), (95, 3, 120, 90)]
    script = (
        "import { letterbox } from './letterbox.js';\nconst result = input.parts.map(([left, top, right, bottom]) => {"
        " const made = letterbox(input.frame, [48, 64], { left, top, right, bottom });"
        " return { planes: Array.from(made.planes), at: made.toSource([10, 20]) }; });\n" + PRINT
    )
    frame = {"data": image.ravel().tolist(), "height": 90, "width": 120}
    for (left, top, right, bottom), made in zip(
        parts, node(script, {"parts": parts, "frame": frame}), strict=True
    ):
        inner, to_source = letterbox(image[top:bottom, left:right, :3].copy(), (48, 64))
        assert np.abs(numbers(made["planes"]).reshape(3, 48, 64).transpose(1, 2, 0) - inner).max() <= 1
        np.testing.assert_allclose(made["at"], to_source.astype(float) @ [10, 20, 1] + [left, top], atol=1e-4)


def test_what_is_looked_at_twice(node: Node) -> None:
    random = np.random.default_rng(5)
    frames = [(640, 480), (480, 640), (1920, 1080), (91, 333)]
    cases = []
    for frame in frames * 20:
        corners = random.uniform(0, 1, (8, 2)) * random.uniform(0.02, 1) * min(frame)
        cases.append({"corners": (corners + random.uniform(-5, 50, 2)).tolist(), "frame": frame})
    script = (
        "import { cutOut, filled } from './second_look.js';\nconst result = input.map(({ corners, frame }) => ({"
        " share: filled(corners, frame, [192, 256]), ...cutOut(corners, frame, [192, 256]) }));\n" + PRINT
    )
    for case, found in zip(cases, node(script, cases), strict=True):
        given = np.array(case["corners"]), case["frame"], (192, 256)
        assert found["share"] == pytest.approx(second_look.filled(*given), rel=1e-12)
        expected = second_look.window(*given)
        assert tuple(found[name] for name in ("left", "top", "right", "bottom")) == expected


@pytest.mark.parametrize("case", ["good", "no packet", "no box", "large", "no setting"])
def test_two_looks(node: Node, case: str) -> None:
    """The page's estimate of a frame, from what a network answers, is that of `Predictor`."""
    small, swapped = BOX * 0.3 + [20, 15], [3, 6, 0, 5, 1, 7, 4, 2]
    second = BOX[swapped] * 0.8 if case == "no box" else BOX * 0.8
    looks = [
        (small if case != "large" else BOX * 1.2, np.ones(8), 20.0),
        (second, np.full(8, 0.1 if case == "no packet" else 1.0), 30.0),
    ]
    fusion = FusionConfig(second_look=0.0 if case == "no setting" else 0.5)
    answers = iter(looks)

    class Backend:
        size, interval, field_of_view = (48, 64), None, None

        def __init__(self) -> None:
            self.fusion = fusion

        def __call__(self, images: np.ndarray) -> ModelOutput[np.ndarray]:
            corners, peaks, cards = next(answers)
            return ModelOutput(corners[None], peaks[None], np.ones((1, 8)), np.array([cards]), np.ones(1))

    image = np.random.default_rng(6).integers(0, 256, (120, 160, 3), np.uint8)
    expected = Predictor(Backend())(image)
    assert expected.cards == (30.0 if case in ("good", "no packet") else 20.0)
    assert expected.flag == (1 if case == "no packet" else 0)

    about = {"size": [48, 64], "fusion": asdict(fusion)}
    if case == "no setting":
        del about["fusion"]["second_look"]  # type: ignore[attr-defined]
    script = (
        "import { Estimator } from './estimator.js';\nconst answers = input.answers.values();\n"
        "const tensor = (values) => ({ data: values });\n"
        "const session = { inputNames: ['image'], run: async () => {"
        " const [corners, peaks, cards] = answers.next().value; return { corners: tensor(corners.flat()),"
        " confidence: tensor(peaks), visibility: tensor(peaks),"
        " cards: tensor([cards]), cards_std: tensor([1]) }; } };\n"
        "const ort = { Tensor: class {} };\n"
        "const result = await new Estimator(ort, session, input.about).estimate(input.frame);\n" + PRINT
    )
    rgba = np.concatenate([image, np.full((120, 160, 1), 255, np.uint8)], -1)
    frame = {"data": rgba.ravel().tolist(), "width": 160, "height": 120}
    given = {"answers": [(c.tolist(), p.tolist(), n) for c, p, n in looks], "about": about, "frame": frame}
    found = node(script, given)
    assert (found["flag"], found["cards"]) == (expected.flag, expected.cards)
    np.testing.assert_allclose(found["corners"], expected.corners, atol=1e-4)
    np.testing.assert_allclose(numbers(found["box"]), expected.box, atol=1e-4)


def test_vibration_and_calibration(node: Node) -> None:
    script = (
        "import { pattern } from './magic.js';\nimport { rescaled, scale } from './kept.js';\n"
        "const result = { pattern: pattern(23), scale: scale(input), plain: scale([]),"
        " floor: rescaled({ floor: 2, slope: 0.1 }, 1.5).floor };\n" + PRINT
    )
    found = node(script, [[20, 24], [10, 12]])
    assert found["pattern"][::2] == [500, 500, 120, 120, 120]
    assert found["scale"] == pytest.approx(1.2)
    assert found["plain"] == 1
    assert found["floor"] == INTERVAL.rescaled(1.5, 0).floor


def test_both_languages_say_the_same(node: Node) -> None:
    script = (
        "import { WORDS } from './words.js';\nconst kinds = (words) => Object.fromEntries(Object.entries(words)"
        ".map(([key, value]) => [key, typeof value === 'function' ? value.length : typeof value]));\n"
        "const result = { en: kinds(WORDS.en), es: kinds(WORDS.es) };\n" + PRINT
    )
    found = node(script, None)
    assert found["en"] == found["es"]


@pytest.mark.parametrize(("corners", "word"), [(0, "noPacket"), (1, "cutOff"), (3, "cutOff")])
def test_few_corners_are_of_a_packet_that_is_cut_off(node: Node, corners: int, word: str) -> None:
    found = [i < corners for i in range(8)]
    code = f"import {{ advise }} from './advice.js';\nconst result = advise(input, 0);\n{PRINT}"
    assert node(code, {"flag": 1, "found": found}) == word


@pytest.mark.parametrize(("side", "word"), [(0, ""), (640, ""), (1500, ""), (4032, "exact")])
def test_a_photo_is_asked_for_where_its_edges_could_be_counted(node: Node, side: int, word: str) -> None:
    """A packet of 6 mm whose upright edges are 20 of 640 pixels long: 1 pixel a card, 6.3 in a photo."""
    corners = [[x, y] for base in (200, 400) for y in (base, base - 20) for x in (100, 500)]
    estimate = {"flag": 0, "corners": corners, "box": corners, "found": [True] * 8, "size": [640, 480]}
    code = f"import {{ advise }} from './advice.js';\nconst result = advise(input, 0, {side});\n{PRINT}"
    assert node(code, {**estimate, "thickness": 6.0, "steepness": 0.2}) == word
