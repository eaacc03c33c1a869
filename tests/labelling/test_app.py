"""What the page asks for: frames, marks, counts, pictures, and what a model says."""

import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from labelling_footage import HIDDEN_HERE, SIZE, drawn_box
from PIL import Image

from cardpose.common.errors import InputError
from cardpose.common.packet import CORNERS
from cardpose.data.footage.folder import DatasetFolder
from cardpose.data.labels.store import LabelFolder
from cardpose.data.labels.tables import Video
from cardpose.labelling.worklist import all_frames, read_worklist
from cardpose.prediction.predictor import Predictor


def marks_of(number: int) -> list[list[float]]:
    corners, _ = drawn_box(number)
    return [[round(x, 2), round(y, 2), 1 if i == HIDDEN_HERE else 2] for i, (x, y) in enumerate(corners)]


def save(client: Callable, number: int, marks: list) -> dict:
    revision = client("GET", f"/api/frames/{number}").json["revision"]
    answer = client("PUT", f"/api/frames/{number}", {"marks": marks, "revision": revision})
    assert answer.status == 200, answer.body
    return answer.json


def test_a_session_from_nothing_to_labels_that_training_reads(serve: Callable, footage: Path) -> None:
    client = serve(footage)
    session = client("GET", "/api/session").json
    assert session["corners"] == list(CORNERS)
    assert session["frames"] == [[video, index, "empty"] for video in range(2) for index in range(3)]
    for number in range(6):
        response = save(client, number, marks_of(number))
        assert (response["state"], response["warning"]) == ("done", "")
    assert client("PUT", "/api/videos/1", {"cards": 40, "before": None}).status == 200
    client.stop()
    labels = DatasetFolder.read(footage).annotations
    assert [label.cards for label in labels] == [None] * 3 + [40] * 3
    for number, label in enumerate(labels):
        np.testing.assert_allclose(label.corners, drawn_box(number)[0], atol=0.0051)
        assert label.visibility.tolist() == [1 if i == HIDDEN_HERE else 2 for i in range(8)]


def test_marks_come_back_and_a_draft_is_no_label(serve: Callable, footage: Path) -> None:
    client = serve(footage)
    marks = [[10.1, 20.25, 2], None, [0, 0, 0], *[None] * 5]
    response = save(client, 4, marks)
    got = client("GET", "/api/frames/4").json
    assert (got["marks"], got["revision"], got["state"]) == (marks, response["revision"], "draft")
    client.stop()
    assert json.loads((footage / "annotations.json").read_text())["annotations"] == []
    with pytest.raises(InputError, match="label some frames first"):
        DatasetFolder.read(footage)
    assert serve(footage)("GET", "/api/frames/4").json["marks"] == marks


def test_the_later_of_two_tabs_is_reported(serve: Callable, footage: Path) -> None:
    client = serve(footage)
    revision = client("GET", "/api/frames/0").json["revision"]
    first, second = marks_of(0), marks_of(1)
    assert client("PUT", "/api/frames/0", {"marks": first, "revision": revision}).status == 200
    answer = client("PUT", "/api/frames/0", {"marks": second, "revision": revision})
    assert answer.status == 409
    assert "frames/0 frame 0 has been changed elsewhere" in answer.json["error"]
    assert client("GET", "/api/frames/0").json["marks"] == first
    again = client("PUT", "/api/frames/0", {"marks": first, "revision": revision})
    assert again.status == 200  # an answer that was lost, asked for again
    assert client("PUT", "/api/videos/0", {"cards": 5, "before": None}).status == 200
    assert client("PUT", "/api/videos/0", {"cards": 6, "before": None}).status == 409


def test_a_revision_outlives_the_server(serve: Callable, footage: Path) -> None:
    client = serve(footage)
    revision = save(client, 0, marks_of(0))["revision"]
    client.stop()
    again = serve(footage)
    assert again("PUT", "/api/frames/0", {"marks": marks_of(1), "revision": revision}).status == 200


def test_the_box_states_where_the_rest_is_and_what_does_not_belong(serve: Callable, footage: Path) -> None:
    client = serve(footage)
    marks = marks_of(2)
    seven = [None if i == HIDDEN_HERE else mark for i, mark in enumerate(marks)]
    response = save(client, 2, seven)
    assert np.linalg.norm(np.array(response["box"][HIDDEN_HERE]) - marks[HIDDEN_HERE][:2]) < 0.3
    assert response["hidden"] == [i == HIDDEN_HERE for i in range(8)]
    marks[5][0] += 25
    response = save(client, 2, marks)
    assert response["outlier"] == 5
    assert "lower right face is 25 px from its expected position" in response["warning"]
    back_alone = [mark if "back" in CORNERS[i] else None for i, mark in enumerate(marks_of(2))]
    assert save(client, 2, back_alone)["box"] is None


def test_the_nearest_frame_before_is_copied_from(serve: Callable, footage: Path) -> None:
    client = serve(footage)
    save(client, 0, marks_of(0))
    save(client, 3, marks_of(3))
    assert client("GET", "/api/frames/2/previous").json == {"marks": marks_of(0), "frame_index": 0}
    for number in (0, 3):  # the first frames of their videos
        assert client("GET", f"/api/frames/{number}/previous").status == 404


def test_a_full_disk_is_reported_and_nothing_taken(
    serve: Callable, footage: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = serve(footage)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr("cardpose.data.labels.journal.os.fsync", full)
        revision = client("GET", "/api/frames/0").json["revision"]
        answer = client("PUT", "/api/frames/0", {"marks": marks_of(0), "revision": revision})
    assert answer.status == 507
    assert "not saved" in answer.json["error"]
    assert "free some space" in answer.json["error"]
    assert client("GET", "/api/frames/0").json["state"] == "empty"
    save(client, 0, marks_of(0))


def test_tables_that_cannot_be_written_are_reported_with_each_answer(serve: Callable, footage: Path) -> None:
    client = serve(footage)
    path = footage / "annotations.json"
    theirs = path.read_text() + "\n"
    path.write_text(theirs)
    save(client, 0, marks_of(0))
    with pytest.raises(InputError, match="another program has changed it"):
        client.stop()
    assert path.read_text() == theirs
    assert serve(footage)("GET", "/api/frames/0").json["marks"] == marks_of(0)


def test_pictures_are_the_frames(serve: Callable, footage: Path) -> None:
    client = serve(footage)
    for number in (0, 5):
        answer = client("GET", f"/pictures/{number}")
        assert answer.headers["content-type"] == "image/jpeg"
        image = np.asarray(Image.open(io.BytesIO(answer.body)))
        assert np.abs(image.astype(int) - drawn_box(number)[1]).mean() < 3


def test_frames_of_a_video_are_cut_out_once(
    serve: Callable, tmp_path: Path, make_clip: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "films"
    make_clip(root / "videos" / "a.mp4", num_frames=9)
    with LabelFolder(root, create=True) as folder:
        folder.add(Video("videos/a.mp4", 20), [(index, index / 30) for index in (8, 2, 5)], (64, 48))
    client = serve(root)
    frames = [client("GET", f"/pictures/{number}").body for number in range(3)]
    assert len({*frames}) == 3
    client.stop()
    monkeypatch.setattr("cardpose.labelling.pictures.iterate", None)
    again = serve(root)
    assert [again("GET", f"/pictures/{number}").body for number in range(3)] == frames


def test_a_frame_that_is_not_there_is_reported(
    serve: Callable, footage: Path, tmp_path: Path, make_clip: Callable[..., Path]
) -> None:
    (footage / "frames" / "1" / "2.jpg").unlink()
    answer = serve(footage)("GET", "/pictures/5")
    assert answer.status == 404
    assert "has no frame 2" in answer.json["error"]
    root = tmp_path / "films"
    make_clip(root / "videos" / "a.mp4", num_frames=3)
    with LabelFolder(root, create=True) as folder:
        folder.add(Video("videos/a.mp4", 20), [(1, 0.1), (7, 0.7)], (64, 48))
    client = serve(root)
    assert client("GET", "/pictures/0").status == 200
    assert "no frame 7, the video has 3" in client("GET", "/pictures/1").json["error"]


def test_loose_frames_that_no_table_lists_are_there_to_label(serve: Callable, footage: Path) -> None:
    (footage / "annotations.json").unlink()
    client = serve(footage)
    assert len(client("GET", "/api/session").json["frames"]) == 6
    save(client, 1, marks_of(1))
    client.stop()
    (label,) = DatasetFolder.read(footage).annotations
    assert (label.video, label.frame_index, label.width, label.height) == ("frames/0", 1, *SIZE)


def test_a_model_proposes_and_states_how_unsure_it_is(
    serve: Callable, footage: Path, drawn_checkpoint: Path
) -> None:
    predictor = Predictor.from_checkpoint(drawn_checkpoint)
    client = serve(footage, predictor)
    got = client("GET", "/api/frames/3").json
    response = predictor(footage / "frames" / "1" / "0.jpg")
    wanted = response.completed()
    for mark, corner, visible in zip(got["proposal"], wanted, response.visibility, strict=True):
        if mark is None:
            assert not (np.isfinite(corner).all() and (corner >= -0.5).all() and (corner < SIZE).all())
        else:
            np.testing.assert_allclose(mark[:2], corner, atol=0.0051)
            assert mark[2] == (2 if visible > 0.5 else 1)
    assert got["marks"] == [None] * 8  # a proposal is no label
    for _ in range(200):
        progress = client("GET", "/api/progress").json
        if progress["finished"]:
            break
    assert progress["finished"]
    assert progress["uncertainties"][3] == pytest.approx(got["uncertainty"], abs=1e-4)
    assert all(0 <= value <= 1 for value in progress["uncertainties"])


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", "video,frame_index,why\nframes/1,2,blur\nframes/0,1,\nframes/1,2,again\n"),
        ("a.json", '[{"video": "frames/1", "frame_index": 2}, {"video": "frames/0", "frame_index": 1}]'),
        (
            "b.json",
            '{"frames": [{"video": "frames/1", "frame_index": 2}, {"video": "frames/0", "frame_index": 1}]}',
        ),
    ],
)
def test_a_list_gives_the_frames_and_their_order(footage: Path, tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    with LabelFolder(footage) as folder:
        assert read_worklist(tmp_path / name, folder) == [("frames/1", 2), ("frames/0", 1)]


@pytest.mark.parametrize(
    ("name", "text", "named"),
    [
        ("a.csv", "video,index\nframes/1,2\n", "0 columns 'frame_index'"),
        ("a.csv", "video,frame_index\nframes/9,2\n", "row 2: 'frames/9' is not in videos.csv"),
        ("a.csv", "video,frame_index\nframes/1,-2\n", "row 2: frame_index is '-2'"),
        ("a.csv", "video,frame_index\n", "lists no frame"),
        ("a.json", "{", "not valid JSON"),
        ("a.json", "3", "is not a list of frames"),
        ("a.json", '[{"video": 3, "frame_index": 1}]', "frame 0: has no video and frame_index"),
        ("none.json", None, "none.json: cannot be read"),
        ("none.csv", None, "none.csv: no such file"),
    ],
)
def test_a_list_that_is_none(footage: Path, tmp_path: Path, name: str, text: str | None, named: str) -> None:
    if text is not None:
        (tmp_path / name).write_text(text)
    with LabelFolder(footage) as folder, pytest.raises(InputError, match=named):
        read_worklist(tmp_path / name, folder)


def test_a_folder_without_frames_states_what_makes_some(tmp_path: Path) -> None:
    (tmp_path / "videos.csv").write_text("file,cards\nvideos/a.mp4,3\n")
    with LabelFolder(tmp_path) as folder, pytest.raises(InputError, match=r"cardpose subsample"):
        all_frames(folder)
