"""What the words of a command line name, and what a bad one says."""

import io
import os
import struct
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from cardpose.common.errors import InputError
from cardpose.common.images import read_image
from cardpose.prediction.sources import CameraSource, PictureSource, VideoSource, find_sources

RED, GREEN = (200, 40, 40), (30, 110, 60)


@pytest.fixture
def halves() -> np.ndarray:
    """40 x 60, red on the left, green on the right."""
    image = np.empty((40, 60, 3), np.uint8)
    image[:, :30], image[:, 30:] = RED, GREEN
    return image


@pytest.fixture
def things(tmp_path: Path, make_clip: Callable[..., Path], halves: np.ndarray) -> Path:
    """A folder with two videos, a picture, a list and a folder of frames."""
    for name in ("a.mp4", "b.mp4"):
        make_clip(tmp_path / name, num_frames=3)
    Image.fromarray(halves).save(tmp_path / "c.png")
    (tmp_path / "notes.txt").write_text("no picture\n")
    (tmp_path / "frames").mkdir()
    for index in (10, 2):
        Image.fromarray(halves).save(tmp_path / "frames" / f"{index}.jpg")
    return tmp_path


def names(given: list, listed: tuple[str, ...] = ()) -> list[str]:
    sources, problems, _ = find_sources(given, listed)
    assert not problems
    return [source.name for source in sources]


def test_every_kind_of_word(things: Path) -> None:
    a, b, c, frames = (str(things / name) for name in ("a.mp4", "b.mp4", "c.png", "frames"))
    assert names([a]) == [a]
    assert names([c, a, a]) == [c, a]
    assert names([str(things)]) == [a, b, c]
    assert names([frames]) == [frames]
    assert names([f"{things}/*.mp4"]) == [a, b]
    assert names([f"{things}/**/*.jpg"]) == [f"{frames}/10.jpg", f"{frames}/2.jpg"]
    assert names([f"{things}/fra*"]) == [frames]
    assert names(["-", a], (f"{b}\n", "\n", f"{frames}\n")) == [b, frames, a]
    assert names([0]) == names(["0"]) == ["camera 0"]


def test_frames_of_a_folder_stand_in_their_order(things: Path) -> None:
    (source,), _, _ = find_sources([str(things / "frames")], ())
    assert isinstance(source, PictureSource)
    assert (source.num_frames, source.rate) == (2, 0)
    assert [frame.index for frame in source.frames()] == [2, 10]


def test_brackets_in_a_name_that_is_there_are_no_pattern(things: Path) -> None:
    odd = things / "clip [1].mp4"
    (things / "a.mp4").rename(odd)
    assert names([str(odd)]) == [str(odd)]


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("{}/*.avi", "matches no file"),
        ("{}/nowhere.mp4", "no such file or folder"),
        ("{}/empty", "has no picture and no video"),
        ("{}/above", "above: has no picture and no video (left out 1: clips/): choose another folder"),
    ],
)
def test_a_word_that_names_nothing_is_a_line(things: Path, word: str, said: str) -> None:
    (things / "empty").mkdir()
    (things / "above" / "clips").mkdir(parents=True)
    sources, problems, _ = find_sources([word.format(things), str(things / "a.mp4")], ())
    assert len(sources) == len(problems) == 1
    assert said in problems[0]


def test_a_folder_says_what_it_takes_and_what_not(things: Path) -> None:
    """By content: a transport stream, a picture without a suffix, an animation, pages, and a damaged video."""
    (things / "a.mp4").rename(things / "cam.x7")
    (things / "c.png").rename(things / "no suffix")
    (things / "broken.mov").write_bytes(b"moov")
    pages = [Image.new("RGB", (32, 24), (80 * k, 0, 0)) for k in range(3)]
    pages[0].save(things / "anim.gif", save_all=True, append_images=pages[1:])
    pages[0].save(things / "scan.tif", save_all=True, append_images=pages[1:])
    sources, problems, notes = find_sources([str(things)], ())
    assert [Path(source.name).name for source in sources] == [
        "anim.gif", "b.mp4", "broken.mov", "cam.x7", "no suffix", "scan.tif",
    ]  # fmt: skip
    assert [len(list(source.frames())) for source in sources if "broken" not in source.name] == [
        3,
        3,
        3,
        1,
        1,
    ]
    assert not problems
    assert notes == [
        f"{things}: took 6 files, left out 2: frames/, notes.txt",
        f"{things}/anim.gif: an animation of 3 pictures, read as a video",
        f"{things}/scan.tif: holds 3 pictures, only the first is read: split it to use the others",
    ]
    with pytest.raises(InputError, match=r"broken\.mov: not a whole video"):
        list(sources[2].frames())
    (frames,), _, notes = find_sources([str(things / "frames")], ())
    assert (frames.num_frames, notes) == (2, [f"{things}/frames: took 2 files, as the frames of one clip"])


def test_odd_names_become_one_line_of_text(things: Path) -> None:
    odd = os.fsdecode(b"caf\xe9\n.mp4")
    (things / "a.mp4").rename(things / odd)
    (things / "c.png").rename(things / os.fsdecode(b"\xff.png"))
    shown = [f"{things}/b.mp4", rf"{things}/caf\udce9\n.mp4", rf"{things}/\udcff.png"]
    assert names([str(things)]) == shown
    sources = find_sources([str(things / odd), str(things)], ()).sources
    assert [len(list(source.frames())) for source in sources] == [3, 3, 1]


@pytest.mark.parametrize("word", ["x" * 300, f"{'x' * 300}/*.mp4", "x" * 5000])
def test_a_name_that_no_file_can_have_is_a_line(word: str) -> None:
    sources, problems, _ = find_sources([word], ())
    assert not sources
    assert len(problems) == 1
    assert "check the" in problems[0]


def test_a_camera_that_is_not_there() -> None:
    with pytest.raises(InputError, match="camera 97: not found"):
        next(CameraSource(97).frames())


def test_a_long_number_is_no_camera() -> None:
    number = "1" * 40
    assert find_sources([number], ())[:2] == ([], [f"{number}: no such file or folder: check the path"])


def test_a_camera_that_stops(monkeypatch: pytest.MonkeyPatch, halves: np.ndarray) -> None:
    class Camera:
        def __init__(self, index: int) -> None:
            self.left = 2

        def read(self) -> tuple[bool, np.ndarray | None]:
            self.left -= 1
            return (True, halves[..., ::-1].copy()) if self.left >= 0 else (False, None)

        def release(self) -> None:
            pass

    monkeypatch.setattr(cv2, "VideoCapture", Camera)
    source = CameraSource(0)
    frames = list(source.frames())
    assert [frame.index for frame in frames] == [0, 1]
    np.testing.assert_array_equal(frames[0].image, halves)
    assert frames[1].timestamp >= frames[0].timestamp >= 0
    assert source.problem == "camera 0: stopped after 2 frames"


def test_a_video_that_breaks_off_gives_what_it_has(tmp_path: Path, make_clip: Callable[..., Path]) -> None:
    path = make_clip(tmp_path / "a.mp4", num_frames=40, size=(320, 240))
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])
    source = VideoSource(path)
    assert source.num_frames == 40
    frames = list(source.frames())
    assert 0 < len(frames) < 40
    assert source.bad_frames == 40 - len(frames)
    assert f"truncated after {len(frames)} of 40 frames" in source.problem


@pytest.mark.parametrize("content", [b"", b"no video, but a text\n" * 99, struct.pack(">I4s", 8, b"moov")])
@pytest.mark.parametrize("name", ["a.txt", "a.mp4"])
def test_not_a_video(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=name) as refused:
        list(VideoSource(tmp_path / name).frames())
    assert "\n" not in str(refused.value)


def test_a_picture_among_frames_that_is_none_is_left_out(things: Path) -> None:
    (things / "frames" / "5.jpg").write_bytes(b"no picture")
    (source,), _, _ = find_sources([str(things / "frames")], ())
    assert [frame.index for frame in source.frames()] == [2, 10]
    assert source.bad_frames == 1
    assert "5.jpg" in source.problem
    with pytest.raises(InputError, match=r"5\.jpg"):
        list(PictureSource("5", {5: things / "frames" / "5.jpg"}).frames())


def save(image: np.ndarray, mode: str, path: Path) -> Path:
    """Write `halves` in a way that cameras and programs have."""
    if mode == "16 bit":
        cv2.imwrite(str(path), image[..., ::-1].astype(np.uint16) * 257)
    elif mode == "alpha":
        Image.fromarray(np.dstack([image, np.full(image.shape[:2], 9, np.uint8)])).save(path)
    elif mode == "P":
        Image.fromarray(image).quantize(8).save(path)
    else:
        Image.fromarray(image).convert(mode).save(path, quality=98)
    return path


@pytest.mark.parametrize(
    ("mode", "suffix"),
    [("RGB", "jpg"), ("CMYK", "jpg"), ("16 bit", "png"), ("16 bit", "tif"), ("alpha", "png"), ("RGB", "webp"),
     ("P", "png"), ("RGB", "bmp")],
)  # fmt: skip
def test_every_kind_of_picture_has_its_colours(
    tmp_path: Path, halves: np.ndarray, mode: str, suffix: str
) -> None:
    image = read_image(save(halves, mode, tmp_path / f"a.{suffix}"))
    assert image.dtype == np.uint8
    assert np.abs(image[20, [10, 50]].astype(int) - (RED, GREEN)).max() <= 4


@pytest.mark.parametrize("mode", ["L", "LA", "I;16", "1"])
def test_grey_pictures_become_three_channels(tmp_path: Path, mode: str) -> None:
    ramp = np.tile(np.linspace(0, 255, 60).astype(np.uint8), (40, 1))
    if mode == "I;16":
        Image.fromarray(ramp.astype(np.uint16) * 257).save(tmp_path / "a.png")
    else:
        Image.fromarray(ramp).convert(mode).save(tmp_path / "a.png")
    image = read_image(tmp_path / "a.png")
    assert image.shape == (40, 60, 3)
    assert (image[..., 0] == image[..., 2]).all()
    assert image[0, 0, 0] < 10 < 240 < image[0, 59, 0]


@pytest.mark.parametrize("suffix", ["jpg", "png"])
@pytest.mark.parametrize(("turn", "upright"), [(1, 0), (3, 2), (6, 3), (8, 1)])
def test_exif_rotation(tmp_path: Path, halves: np.ndarray, suffix: str, turn: int, upright: int) -> None:
    exif = Image.Exif()
    exif[0x112] = turn
    Image.fromarray(halves).save(tmp_path / f"a.{suffix}", exif=exif)
    image, want = read_image(tmp_path / f"a.{suffix}"), np.rot90(halves, upright)
    assert image.shape == want.shape
    assert np.abs(image.astype(int) - want).mean() < 4


def test_a_picture_of_too_many_pixels_is_one_line(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.new("1", (8, 8)).save(buffer, "PNG")
    data = bytearray(buffer.getvalue())
    data[16:24] = struct.pack(">II", 50_000, 50_000)
    (tmp_path / "huge.png").write_bytes(data)
    with pytest.raises(InputError, match=r"huge\.png") as refused:
        read_image(tmp_path / "huge.png")
    assert "\n" not in str(refused.value)


def test_damaged_frames_are_left_out_and_counted(tmp_path: Path, make_clip: Callable[..., Path]) -> None:
    """Not only those that are missing: a decoder fills in what it cannot decode, and raises nothing."""
    path = make_clip(tmp_path / "a.mp4", num_frames=40, size=(320, 240))
    data = bytearray(path.read_bytes())
    for place in np.random.default_rng(1).integers(len(data) // 2, len(data) * 3 // 4, 8):
        data[place] ^= 0x55
    path.write_bytes(data)
    source = VideoSource(path)
    read = [frame.index for frame in source.frames()]
    assert 0 < source.bad_frames == 40 - len(read)
    assert (
        source.problem
        == f"{path}: {source.bad_frames} of 40 frames are damaged and left out: copy or record it again"
    )
