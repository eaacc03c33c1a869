import csv
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from cardpose.common.errors import InputError
from cardpose.common.packet import CORNERS, VISIBLE
from cardpose.data.footage.cardcut import read_cardcut
from cardpose.data.footage.folder import DatasetFolder

WIDTH, HEIGHT = 64, 48
Row = dict[str, str]


def make_row(video: str, index: int, cards: int) -> Row:
    """A published row: corner i was clicked at pixel (10 + i, 30 - i), but the second one is not visible."""
    row = {
        "imageName": f"{video}_frame_{index}.jpg",
        "annotated": "1",
        "cards_counted": str(cards),
        "total_cards": "52",
    }
    for i, corner in enumerate(CORNERS):
        seen = i != 1
        row[f"{corner}_visible"] = str(int(seen))
        row[f"{corner}_x"] = f"{(30 - i) / HEIGHT:.6f}" if seen else "0.0"
        row[f"{corner}_y"] = f"{(10 + i) / WIDTH:.6f}" if seen else "0.0"
    return row


@pytest.fixture
def write_published(tmp_path: Path) -> Callable[..., Path]:
    """write_published(change) writes two videos in the published layout, its rows changed by `change`."""

    def write(change: Callable[[list[Row]], object] = lambda rows: None) -> Path:
        rows = [make_row(v, i, c) for v, c in (("MAQ2", 40), ("MAQ1", 7)) for i in (100, 20, 0)]
        (tmp_path / "images").mkdir()
        for row in rows:
            cv2.imwrite(
                str(tmp_path / "images" / row["imageName"]), np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
            )
        change(rows)
        with (tmp_path / "cardpoints.csv").open("w", newline="") as stream:
            table = csv.DictWriter(stream, list(rows[0]))
            table.writeheader()
            table.writerows(rows)
        return tmp_path

    return write


def test_axes_visibility_and_counts(write_published: Callable[..., Path]) -> None:
    folder = read_cardcut(write_published())
    assert [(video.file, video.cards) for video in folder.videos] == [("frames/MAQ2", 40), ("frames/MAQ1", 7)]
    assert [a.frame_index for a in folder.annotations] == [0, 20, 100, 0, 20, 100]
    for annotation in folder.annotations:
        assert (annotation.width, annotation.height) == (WIDTH, HEIGHT)
        assert annotation.visibility.tolist() == [2, 0, 2, 2, 2, 2, 2, 2]
        for i, corner in enumerate(annotation.corners.tolist()):
            assert np.isnan(corner).all() if i == 1 else corner == [10 + i, 30 - i]


def test_rows_that_are_not_annotated_are_left_out_and_counted(
    write_published: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    def change(rows: list[Row]) -> None:
        for row in rows[1:3]:
            row.update(annotated="0", cards_counted="", upper_left_face_x="")

    folder = read_cardcut(write_published(change))
    assert len(folder.annotations) == 4
    assert "left out 2 rows with annotated=0" in caplog.text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda rows: rows[1].update(imageName="a.jpg"),
            "cardpoints.csv row 3: imageName is 'a.jpg': write <video>_",
        ),
        (lambda rows: rows[1].update(imageName="../M_frame_1.jpg"), "row 3: imageName is"),
        (
            lambda rows: rows[1].update(imageName="M_frame_1.jpg"),
            "row 3: images/M_frame_1.jpg is not on disk",
        ),
        (lambda rows: rows[1].update(annotated="yes"), "row 3: annotated is 'yes': write 0 or 1"),
        (lambda rows: rows[1].update(cards_counted="0"), "row 3: cards is '0'"),
        (lambda rows: rows[1].update(cards_counted="105"), "row 3: cards is '105'"),
        (lambda rows: rows[1].update(cards_counted="3.5"), "row 3: cards is '3.5'"),
        (lambda rows: rows[1].update(cards_counted="few"), "row 3: cards is 'few'"),
        (lambda rows: rows[1].update(cards_counted="39"), "MAQ2 has several counts in cards_counted"),
        (
            lambda rows: rows[1].update(imageName=rows[0]["imageName"]),
            "frame 100 of frames/MAQ2 is labelled twice",
        ),
        (lambda rows: rows[1].update(lower_left_face_visible="2"), "row 3: lower_left_face_visible is '2'"),
        (
            lambda rows: rows[1].update(lower_left_face_x="1.2"),
            "row 3: lower_left_face_x is '1.2': write a fraction",
        ),
        (lambda rows: rows[1].update(lower_left_face_x="nan"), "row 3: lower_left_face_x is 'nan'"),
        (lambda rows: rows[1].update(lower_left_face_y=""), "row 3: lower_left_face_y is ''"),
        (
            lambda rows: rows[1].update(lower_left_face_y="1.0"),
            "row 3: lower_left_face at (64, 26) lies outside",
        ),
        (lambda rows: [row.update(annotated="0") for row in rows], "cardpoints.csv: no annotated row"),
        (lambda rows: [row.pop("lower_left_face_y") for row in rows], "has 0 columns 'lower_left_face_y'"),
    ],
)
def test_a_wrong_row_is_named(
    write_published: Callable[..., Path], change: Callable[[list[Row]], object], message: str
) -> None:
    with pytest.raises(InputError) as caught:
        read_cardcut(write_published(change))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_folder_or_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere: no such folder"):
        read_cardcut(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"cardpoints\.csv: no such file"):
        read_cardcut(tmp_path)


def test_an_image_of_another_size_is_named(write_published: Callable[..., Path]) -> None:
    folder = read_cardcut(write_published())
    path = folder.root / "images" / "MAQ1_frame_20.jpg"
    cv2.imwrite(str(path), np.zeros((HEIGHT // 2, WIDTH, 3), np.uint8))
    with pytest.raises(InputError, match=r"MAQ1_frame_20\.jpg: labelled at 64x48, but the footage is 64x24"):
        list(folder.read_frames("frames/MAQ1", [0, 20]))


def test_published_footage(cardcut_root: Path) -> None:
    folder = read_cardcut(cardcut_root)
    assert (len(folder.videos), len(folder.annotations)) == (39, 765)
    assert len({video.cards for video in folder.videos}) == 39
    corners = np.stack([annotation.corners for annotation in folder.annotations])
    seen = np.stack([annotation.visibility for annotation in folder.annotations]) == VISIBLE
    np.testing.assert_array_equal(np.isfinite(corners).all(axis=2), seen)
    np.testing.assert_array_equal(corners[seen], np.round(corners[seen]), "clicks are whole pixels")
    lower, upper = CORNERS.index("lower_left_back"), CORNERS.index("upper_left_back")
    both = seen[:, lower] & seen[:, upper]
    assert (corners[both, lower, 1] > corners[both, upper, 1]).mean() > 0.95, (
        "the near edge is lower in the image"
    )
    (index, image), *_ = folder.read_frames(folder.videos[0].file, [20])
    assert (index, image.shape) == (20, (480, 640, 3))


def test_real_corners_lie_on_edges_of_the_image(cardcut_root: Path) -> None:
    """Packet and table differ around a true corner; around one with swapped axes there is mostly table."""
    folder = read_cardcut(cardcut_root)

    def contrast(swap: bool) -> float:
        values = []
        for annotation in folder.annotations[::40]:
            ((_, image),) = folder.read_frames(annotation.video, [annotation.frame_index])
            grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
            for x, y in annotation.corners[annotation.visibility == VISIBLE]:
                x, y = (y * 640 / 480, x * 480 / 640) if swap else (x, y)
                patch = grey[max(int(y) - 6, 0) : int(y) + 7, max(int(x) - 6, 0) : int(x) + 7]
                values.append(float(patch.std()))
        return float(np.median(values))

    assert contrast(swap=False) > 2 * contrast(swap=True)


def test_real_footage_survives_the_canonical_folder(cardcut_root: Path, tmp_path: Path) -> None:
    source = read_cardcut(cardcut_root)
    source.copy(tmp_path / "copy")
    copy = DatasetFolder.read(tmp_path / "copy")
    assert copy.videos == source.videos
    for a, b in zip(source.annotations, copy.annotations, strict=True):
        assert (a.video, a.frame_index, a.cards) == (b.video, b.frame_index, b.cards)
        np.testing.assert_array_equal(a.corners, b.corners)
        np.testing.assert_array_equal(a.visibility, b.visibility)
