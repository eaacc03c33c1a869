"""Labels change one at a time, and nothing that was saved is lost."""

import errno
import json
import os
import random
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cardpose.common.errors import InputError
from cardpose.common.packet import FrameId
from cardpose.data.footage.folder import DatasetFolder
from cardpose.data.labels.journal import Journal
from cardpose.data.labels.label_tables import JOURNAL, LabelTables
from cardpose.data.labels.marks import ABSENT, NO_MARKS, Mark, Marks, arrays, parse_marks, revision, state
from cardpose.data.labels.store import ConflictError, LabelFolder
from cardpose.data.labels.tables import Video

SIZE = (64, 48)
FRAME = ("frames/a", 0)
DONE: Marks = (*((10.5 + i, 20.25, 2 if i % 3 else 1) for i in range(7)), ABSENT)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder of one video, count unknown, with three frames to label."""
    with LabelFolder(tmp_path, create=True) as folder:
        folder.add(Video("frames/a", None, {"deck": "bicycle"}), [(i, i / 30) for i in range(3)], SIZE)
    return tmp_path


def some_marks(rng: random.Random) -> Marks:
    def one() -> Mark | None:
        seen = rng.choice((None, 0, 1, 2))
        if seen is None:
            return None
        return (round(rng.uniform(-0.5, 63), 2), round(rng.uniform(-0.5, 47), 2), seen) if seen else ABSENT

    marks = [one() for _ in range(8)]
    return parse_marks([None if mark is None else list(mark) for mark in marks], *SIZE, "test")


def test_every_change_comes_back_from_the_tables_and_from_the_journal(root: Path) -> None:
    rng, now = random.Random(0), dict.fromkeys((("frames/a", i) for i in range(3)), NO_MARKS)
    for _ in range(20):
        folder = LabelFolder(root)
        for _ in range(5):
            key, marks = rng.choice(list(now)), some_marks(rng)
            folder.save_marks(key, marks, revision(now[key]), SIZE)
            now[key] = marks
        if rng.random() < 0.5:
            folder.close()
        else:
            folder._lock.close()  # as if killed: nothing is folded in
        with LabelFolder(root) as again:
            assert {key: again.marks(key) for key in now} == now
    labelled = {key for key, marks in now.items() if state(marks) == "done"}
    document = json.loads((root / "annotations.json").read_text())
    by_id = {image["id"]: (image["video"], image["frame_index"]) for image in document["images"]}
    assert {by_id[label["image_id"]] for label in document["annotations"]} == labelled


def test_a_done_frame_is_a_label_that_training_reads(root: Path) -> None:
    with LabelFolder(root) as folder:
        folder.save_marks(FRAME, DONE, revision(NO_MARKS), SIZE)
        folder.save_cards("frames/a", 17, None)
        folder.save_marks(("frames/a", 1), (*DONE[:7], None), revision(NO_MARKS), SIZE)  # a draft
    (label,) = LabelTables(root).annotations.values()
    corners, visibility = arrays(DONE)
    np.testing.assert_array_equal(label.corners, corners)
    np.testing.assert_array_equal(label.visibility, visibility)
    assert (label.video, label.frame_index, label.cards) == (*FRAME, 17)
    assert (root / "videos.csv").read_text() == "file,cards,deck\nframes/a,17,bicycle\n"


def test_a_later_change_of_an_older_state_is_refused(root: Path) -> None:
    with LabelFolder(root) as folder:
        first = folder.save_marks(FRAME, DONE, revision(NO_MARKS), SIZE)
        with pytest.raises(ConflictError, match="frames/a frame 0"):
            folder.save_marks(FRAME, (*DONE[:7], None), revision(NO_MARKS), SIZE)
        assert folder.save_marks(FRAME, DONE, "whatever", SIZE) == first  # written twice, after a lost answer
        folder.save_cards("frames/a", 5, None)
        with pytest.raises(ConflictError):
            folder.save_cards("frames/a", 6, None)
        assert folder.videos[0].cards == 5


def test_what_the_file_holds_besides_is_kept(tiny_copy: Path) -> None:
    path = tiny_copy / "annotations.json"
    before = json.loads(path.read_text())
    before["licenses"] = [{"id": 3}]
    before["annotations"][4] |= {"score": 0.5, "id": 77}
    before["images"][0]["coco_url"] = "x"
    path.write_text(json.dumps(before))
    video, index = before["images"][4]["video"], before["images"][4]["frame_index"]
    with LabelFolder(tiny_copy) as folder:
        marks = folder.marks((video, index))
        folder.save_marks((video, index), ((1.5, 2.5, 2), *marks[1:]), revision(marks), SIZE)
    after = json.loads(path.read_text())
    changed = after["annotations"][4]
    assert (changed["id"], changed["score"], changed["keypoints"][:3]) == (77, 0.5, [1.5, 2.5, 2])
    before["annotations"][4] |= {key: changed[key] for key in ("keypoints", "bbox", "area")}
    assert after == before


@pytest.fixture
def tiny_copy(tiny_folder: Path, tmp_path: Path) -> Path:
    copy = tmp_path / "copy"
    DatasetFolder.read(tiny_folder).copy(copy)
    return copy


def kill_page(root: Path) -> FrameId:
    """Leave a changed label in the journal, as a page that was killed; the frame."""
    folder = LabelFolder(root)
    frame = next(iter(folder.listed()))
    folder.save_marks(frame, DONE, revision(folder.marks(frame)), SIZE)
    folder._lock.close()
    return frame


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_a_killed_pages_changes_are_read_by_every_command(tiny_copy: Path) -> None:
    labels = DatasetFolder.read(tiny_copy).annotations
    with LabelFolder(tiny_copy) as folder:
        folder.save_marks(labels[1].frame_id, DONE, revision(folder.marks(labels[1].frame_id)), SIZE)
        read = DatasetFolder.read(tiny_copy).annotations  # while the page is open
        assert len(read) == len(labels)
        np.testing.assert_array_equal(read[1].corners, arrays(DONE)[0])
    kill_page(tiny_copy)
    before = contents(tiny_copy)
    read = DatasetFolder.read(tiny_copy).annotations
    np.testing.assert_array_equal(read[0].corners, arrays(DONE)[0])
    assert [a.frame_id for a in read] == [a.frame_id for a in labels]
    assert contents(tiny_copy) == before, "reading changes no byte"
    LabelFolder(tiny_copy).close()
    again = DatasetFolder.read(tiny_copy).annotations
    for one, other in zip(again, read, strict=True):  # from the tables alone
        np.testing.assert_array_equal(one.corners, other.corners)
    assert JOURNAL not in contents(tiny_copy)


@pytest.mark.parametrize("kind", ["link", "dangling", "folder"])
def test_a_journal_that_is_no_file_is_one_line(tiny_copy: Path, kind: str) -> None:
    other = tiny_copy.parent / "other"
    if kind == "folder":
        (tiny_copy / JOURNAL).mkdir()
    else:
        (tiny_copy / JOURNAL).symlink_to(other)
        if kind == "link":
            other.write_text("mine")
    for read in (DatasetFolder.read, LabelFolder):
        with pytest.raises(InputError, match=re.escape(JOURNAL)):
            read(tiny_copy)
    assert not other.exists() or other.read_text() == "mine"


READER = """
import os
import sys
from cardpose.data.footage.layouts import read_any
from cardpose.data.formats.exporting import num_frames

def watch(event, arguments):
    if event == "open" and isinstance(arguments[0], str) and arguments[0].startswith(sys.argv[1]):
        if (arguments[2] or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            print("writes", arguments[0])
    if event in ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.chmod", "os.utime"):
        print(event, arguments)

sys.addaudithook(watch)
folder = read_any(sys.argv[1], unlabelled=True)
print(num_frames(folder), len(folder.annotations))
"""


def test_a_read_only_share_is_read_with_its_journal(tiny_copy: Path) -> None:
    """Watched through Python's audit events, since the rights of a folder do not bind root."""
    kill_page(tiny_copy)
    folders = [tiny_copy, *(path for path in tiny_copy.rglob("*") if path.is_dir())]
    for folder in folders:
        folder.chmod(0o555)
    try:
        command = [sys.executable, "-c", READER, str(tiny_copy)]
        done = subprocess.run(command, capture_output=True, text=True)
    finally:
        for folder in folders:
            folder.chmod(0o755)
    assert (done.stdout, done.stderr) == ("42 42\n", "")


def test_counts_filled_into_the_table_meanwhile_are_taken_in(root: Path) -> None:
    with LabelFolder(root) as folder:
        folder.save_marks(FRAME, DONE, revision(NO_MARKS), SIZE)
        (root / "videos.csv").write_text("file,cards,deck\nframes/a,31,bee\n")
        folder.fold()
        assert folder.videos == (Video("frames/a", 31, {"deck": "bee"}),)
    assert LabelTables(root).annotations[FRAME].cards == 31


def test_labels_that_another_program_wrote_are_not_overwritten(root: Path) -> None:
    folder = LabelFolder(root)
    folder.save_marks(FRAME, DONE, revision(NO_MARKS), SIZE)
    path = root / "annotations.json"
    theirs = path.read_text().replace('"version": "1"', '"version": "2"')
    path.write_text(theirs)
    with pytest.raises(InputError, match=r"another program has changed it.*again, which reads both"):
        folder.close()
    assert path.read_text() == theirs
    with LabelFolder(root) as again:
        assert again.marks(FRAME) == DONE
    assert '"version": "2"' in path.read_text()


def test_a_folder_is_open_once(root: Path) -> None:
    with LabelFolder(root), pytest.raises(InputError, match="has it open: stop that first"):
        LabelFolder(root)
    LabelFolder(root).close()


def test_a_full_disk_changes_nothing(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write

    def half(handle: int, data: bytes) -> int:
        write(handle, data[: len(data) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    with LabelFolder(root) as folder:
        folder.save_marks(FRAME, DONE, revision(NO_MARKS), SIZE)
        with monkeypatch.context() as full:
            full.setattr("cardpose.data.labels.journal.os.write", half)
            with pytest.raises(InputError, match="free some space"):
                folder.save_marks(("frames/a", 1), DONE, revision(NO_MARKS), SIZE)
        assert folder.marks(("frames/a", 1)) == NO_MARKS
        folder.save_marks(("frames/a", 2), DONE, revision(NO_MARKS), SIZE)
        folder._lock.close()
    with LabelFolder(root) as again:
        assert [again.marks(("frames/a", i)) == DONE for i in range(3)] == [True, False, True]


def test_half_a_line_is_dropped_and_a_damaged_one_named(root: Path) -> None:
    journal = root / JOURNAL
    journal.write_bytes(b'{"video": "frames/a", "cards": 9}\n{"video": "frames/a", "ca')
    with LabelFolder(root) as folder:
        assert folder.videos[0].cards == 9
    assert not journal.exists()
    for damaged, line in (
        (b"{\n{}\n", 1),
        (b'{"video": "frames/a", "cards": 9}\n{"video": "frames/a"}\n', 2),
    ):
        journal.write_bytes(damaged)
        before = (root / "annotations.json").read_bytes()
        with pytest.raises(InputError, match=rf"\.label\.journal line {line}.*remove the line"):
            LabelFolder(root)
        assert (root / "annotations.json").read_bytes() == before
        assert journal.read_bytes() == damaged


WRITER = """
import sys
from pathlib import Path
from cardpose.data.labels.journal import Journal
journal = Journal(Path(sys.argv[1]))
for number in range(10**9):
    journal.append({"number": number, "filler": "x" * (number % 5000)})
    print(number, flush=True)
"""


def test_a_journal_that_is_killed_keeps_all_that_it_has_stored(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        written = [int(writer.stdout.readline()) for _ in range(200)]
        writer.kill()
        written += [int(line) for line in writer.stdout.read().split()]
    numbers = [entry["number"] for entry in Journal(path).entries]
    assert numbers[: len(written)] == written
    assert numbers == list(range(len(numbers)))


@pytest.mark.parametrize(
    ("value", "named"),
    [
        (None, "want a list of 8 corners"),
        ([None] * 7, "want a list of 8 corners"),
        ([[1, 2]] + [None] * 7, "upper_left_face: want null or"),
        ([[1, 2, 3]] + [None] * 7, "upper_left_face: want null or"),
        ([None, [True, 2, 2]] + [None] * 6, "upper_right_face: want null or"),
        ([["1", 2, 2]] + [None] * 7, "want null or"),
        ([[float("nan"), 2, 2]] + [None] * 7, "lies outside the 64x48 image"),
        ([[63.6, 2, 1]] + [None] * 7, r"\(63.6, 2\) lies outside"),
    ],
)
def test_marks_that_are_none(value: object, named: str) -> None:
    with pytest.raises(InputError, match=named):
        parse_marks(value, *SIZE, "frame 0")
