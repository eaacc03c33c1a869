"""Faults that are put into good labels are found, with the mend; good labels are left alone."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from cardpose.common.packet import CORNERS, FLIP_INDEX, HIDDEN, NOT_LABELLED, VISIBLE, Annotation
from cardpose.geometry.box_fit import PHONE_FOCAL, BoxFit, project
from cardpose.labelling.checks.boxes import check_boxes
from cardpose.labelling.checks.findings import Finding, Kind
from cardpose.labelling.checks.footage import Looks, check_pictures, dataset_of_frame
from cardpose.labelling.checks.labels import check_labels
from cardpose.labelling.checks.page import chosen_frames, write

WIDTH, HEIGHT = 640, 480
LIMIT = 0.02


def box(turn: float, tilt: float, thickness: float) -> np.ndarray:
    """(8, 2) corners of a packet 400 mm away, turned and seen from `tilt` radians above the table, in pixels."""
    c, s = math.cos(turn), math.sin(turn)
    about = torch.tensor([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    down = torch.tensor(
        [
            [1, 0, 0],
            [0, -math.sin(tilt), -math.cos(tilt)],
            [0, math.cos(tilt), -math.sin(tilt)],
        ]
    )
    ones = torch.ones(1)
    fit = BoxFit(
        ones * thickness,
        (down @ about)[None],
        torch.tensor([[5.0, 10.0, 400.0]]),
        ones,
        torch.eye(7)[None],
        ones > 0,
    )
    return project(fit, PHONE_FOCAL * WIDTH, ((WIDTH - 1) / 2, (HEIGHT - 1) / 2))[0].double().numpy()


@pytest.fixture
def labels() -> list[Annotation]:
    """Forty labels of boxes, half a pixel off, some corners hidden and some not labelled."""
    rng = np.random.default_rng(0)
    annotations = []
    for i in range(40):
        corners = box(rng.uniform(-0.5, 0.5), rng.uniform(0.4, 0.8), rng.uniform(4, 16))
        corners = (corners + rng.normal(0, 0.5, corners.shape)).astype(np.float32)
        visibility = np.full(8, VISIBLE, np.int8)
        visibility[rng.integers(8)] = HIDDEN
        if i % 3 == 0:
            visibility[1], corners[1] = NOT_LABELLED, np.nan
        annotations.append(Annotation("videos/a.mp4", i, i / 30, WIDTH, HEIGHT, corners, visibility, 20))
    return annotations


def moved(annotation: Annotation, corner: str, by: tuple[float, float]) -> Annotation:
    corners = annotation.corners.copy()
    corners[CORNERS.index(corner)] += by
    return replace(annotation, corners=corners)


def exchanged(annotation: Annotation, order: list[int]) -> Annotation:
    return replace(annotation, corners=annotation.corners[order], visibility=annotation.visibility[order])


def test_good_labels_are_left_alone(labels: list[Annotation]) -> None:
    assert check_boxes(labels, LIMIT) == ([], {})
    assert check_labels(labels) == []


def test_no_labels_are_no_fault() -> None:
    assert check_boxes([], LIMIT) == ([], {})
    assert check_labels([]) == []


@pytest.mark.parametrize("corner", ["lower_left_back", "upper_right_back", "lower_right_face"])
def test_a_corner_elsewhere_is_named_and_the_box_shows_its_place(
    labels: list[Annotation], corner: str
) -> None:
    wrong = moved(labels[7], corner, (30.0, -20.0))
    findings, boxes = check_boxes([*labels[:7], wrong, *labels[8:]], LIMIT)
    (finding,) = findings
    assert (finding.kind, finding.frame_index, finding.corners) == (Kind.NO_BOX, 7, (corner,))
    i = CORNERS.index(corner)
    assert np.linalg.norm(boxes[7][i] - labels[7].corners[i]) < 6
    assert (
        "36 px from its place" in finding.text or abs(float(finding.text.split(", ")[1].split()[0]) - 36) < 6
    )


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("lower_left_face", "lower_right_back"),
        ("upper_left_back", "upper_right_back"),
        ("lower_left_back", "upper_left_back"),
    ],
)
def test_two_names_exchanged_are_named(labels: list[Annotation], one: str, other: str) -> None:
    order = list(range(8))
    i, j = CORNERS.index(one), CORNERS.index(other)
    order[i], order[j] = j, i
    (finding,) = check_boxes([exchanged(labels[4], order)], LIMIT)[0]
    assert (finding.kind, set(finding.corners)) == (Kind.SWAPPED, {one, other})
    assert f"{CORNERS[min(i, j)]} and {CORNERS[max(i, j)]} exchanged" in finding.text


def test_a_corner_under_the_name_of_one_without_a_label_is_named(labels: list[Annotation]) -> None:
    order = list(range(8))
    order[1], order[7] = 7, 1
    assert labels[3].visibility[1] == NOT_LABELLED
    (finding,) = check_boxes([exchanged(labels[3], order)], LIMIT)[0]
    assert "with upper_right_face called lower_right_back" in finding.text


def test_a_whole_box_under_mirrored_names_is_found_by_their_places(labels: list[Annotation]) -> None:
    found = check_labels([exchanged(labels[2], list(FLIP_INDEX))])
    assert [finding.kind for finding in found] == [Kind.PLACE]
    assert "lies to the right of" in found[0].text
    assert "and 3 more" in found[0].text


def test_a_video_on_its_head_is_found(labels: list[Annotation]) -> None:
    size = np.array([WIDTH - 1, HEIGHT - 1], np.float32)
    turned = [replace(a, video="videos/b.mp4", corners=size - a.corners) for a in labels[:9]]
    rotated = [finding for finding in check_labels(labels[9:] + turned) if finding.kind is Kind.ROTATED]
    assert [(finding.video, finding.value) for finding in rotated] == [("videos/b.mp4", 1.0)]


def test_corners_on_one_place_are_found_but_not_those_of_a_thin_packet(labels: list[Annotation]) -> None:
    corners = labels[4].corners.copy()
    for face, back in ((0, 2), (1, 3), (4, 6), (5, 7)):
        corners[face] = corners[back] + (0, 1)
    assert [f for f in check_labels([replace(labels[4], corners=corners)]) if f.kind is Kind.CLOSE] == []
    corners[3] = corners[2] + (1, 1)
    close = [f for f in check_labels([replace(labels[4], corners=corners)]) if f.kind is Kind.CLOSE]
    assert ("upper_left_back", "upper_right_back") in {finding.corners for finding in close}


def test_a_copied_label_is_found(labels: list[Annotation]) -> None:
    copy = replace(labels[5], frame_index=99)
    elsewhere = replace(labels[5], frame_index=99, video="videos/b.mp4")
    assert [(f.kind, f.frame_index) for f in check_labels([*labels, copy])] == [(Kind.COPIED, 99)]
    assert check_labels([*labels, elsewhere]) == []


@pytest.fixture
def looks() -> Looks:
    """Six frames of two videos: b 1 is a 1 with noise, a 2 the same picture as a 0."""
    rng = np.random.default_rng(1)
    thumbs = rng.uniform(0, 255, (6, 768)).astype(np.float32)
    thumbs[4] = thumbs[1] + rng.normal(0, 1, 768)
    thumbs[2] = thumbs[0]
    frames = tuple((video, i) for video in ("a", "b") for i in range(3))
    digests = tuple(bytes([i]) for i in (0, 1, 0, 3, 4, 5))
    return Looks(frames, digests, thumbs)


def test_frames_alike_in_two_videos_are_found(looks: Looks) -> None:
    found = {finding.kind: finding for finding in check_pictures(looks, 3.0, None)}
    assert len(check_pictures(looks, 3.0, None)) == 2
    assert (found[Kind.DUPLICATE].video, found[Kind.DUPLICATE].frame_index) == ("a", 2)
    near = found[Kind.NEAR]
    assert (near.video, near.frame_index) == ("a", 1)
    assert near.text.startswith("like frame 1 of b, 1.0 grey levels apart")
    assert [f.kind for f in check_pictures(looks, 0.5, None)] == [Kind.DUPLICATE]


def test_frames_alike_on_both_sets_of_a_split_are_found(looks: Looks) -> None:
    apart = dataset_of_frame({"train": {"a": [0, 1]}, "val": {}, "test": {"a": [2], "b": [0, 1, 2]}})
    texts = [f.text for f in check_pictures(looks, 3.0, apart) if f.kind is Kind.NEAR]
    assert len(texts) == 2
    assert all("(train and test)" in text for text in texts)
    together = dataset_of_frame({"train": {"a": [0, 1, 2], "b": [0, 1, 2]}, "test": {}})
    assert [f.kind for f in check_pictures(looks, 3.0, together)] == [Kind.DUPLICATE]


def test_many_frames_are_compared_in_blocks(monkeypatch: pytest.MonkeyPatch, looks: Looks) -> None:
    whole = check_pictures(looks, 300.0, None)
    monkeypatch.setattr("cardpose.labelling.checks.footage._BLOCK", 2)
    assert check_pictures(looks, 300.0, None) == whole


def test_the_page_shows_the_worst_frames_and_lets_no_name_be_code(tmp_path: Path) -> None:
    name = "videos/<script>alert(1)</script>.mp4"
    findings = [
        Finding(Kind.COUNT, "no count", name),
        Finding(Kind.CLOSE, "two corners", "b", 4, value=0.01),
        Finding(Kind.NO_BOX, "a little", "b", 5, value=0.02),
        Finding(Kind.NO_BOX, "a lot", name, 6, value=0.2),
    ]
    assert chosen_frames(findings, 2) == [(name, 6), ("b", 5)]
    pictures = {frame: np.zeros((48, 64, 3), np.uint8) for frame in chosen_frames(findings, 2)}
    write(tmp_path / "a.html", "my <footage>", findings, {"videos": 2}, list(pictures), pictures)
    text = (tmp_path / "a.html").read_text()
    assert "<script" not in text
    assert "my &lt;footage&gt;" in text
    assert text.count("<img") == 2
    assert "The first 2 of 3 are shown" in text
    assert "://" not in text, "needs no other file"
