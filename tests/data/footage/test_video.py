import struct
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.video.reformatter import VideoReformatter
from full_disk import largest_file

from cardpose.common.errors import InputError
from cardpose.data.footage import video
from cardpose.data.footage.video import iterate, probe
from cardpose.data.footage.video_writer import VideoWriter

SIZE = (64, 48)
IDENTITY = (1, 0, 0, 1)


def number_image(number: int) -> np.ndarray:
    """An image that says which it is and survives compression: `number` as eight black or white bars."""
    bars = np.array([number >> bit & 1 for bit in range(8)], np.uint8) * 255
    return np.repeat(np.tile(np.repeat(bars, SIZE[0] // 8), (SIZE[1], 1))[..., None], 3, axis=2)


def read_number(image: np.ndarray) -> int:
    bars = image.mean(axis=(0, 2)).reshape(8, -1).mean(axis=1) > 127
    return sum(int(bar) << bit for bit, bar in enumerate(bars))


@pytest.fixture(scope="module")
def numbered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("video") / "numbered.mp4"
    with VideoWriter(path, *SIZE, rate=25) as writer:
        for number in range(40):
            writer.write(number_image(number))
    return path


def set_matrix(path: Path, a: int, b: int, c: int, d: int) -> None:
    """Write the display matrix into the track header of an MP4, as a phone does."""
    data = bytearray(path.read_bytes())
    start = data.index(struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30), data.index(b"tkhd"))
    data[start : start + 36] = struct.pack(">9i", a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30)
    path.write_bytes(data)


def quadrants(image: np.ndarray) -> tuple[int, ...]:
    """Brightness rank of upper left, upper right, lower right, lower left: clockwise."""
    h, w = image.shape[0] // 2, image.shape[1] // 2
    parts = (image[:h, :w], image[:h, w:], image[h:, w:], image[h:, :w])
    return tuple(round(float(part.mean()) / 60) for part in parts)


def test_what_is_written_is_read_frame_by_frame(numbered: Path) -> None:
    frames = list(iterate(numbered))
    assert [frame.index for frame in frames] == list(range(40))
    assert [read_number(frame.image) for frame in frames] == list(range(40))
    np.testing.assert_allclose([frame.timestamp for frame in frames], np.arange(40) / 25, atol=1e-9)


def test_probe_tells_what_iterate_yields(numbered: Path) -> None:
    info = probe(numbered)
    assert (info.num_frames, info.width, info.height, info.rotation) == (40, *SIZE, 0)
    assert info.rate == pytest.approx(25)
    assert info.duration == pytest.approx(40 / 25)


@pytest.mark.parametrize("stride", [1, 3, 7, 39, 100])
def test_stride_keeps_every_nth_frame_of_the_whole(numbered: Path, stride: int) -> None:
    assert [read_number(frame.image) for frame in iterate(numbered, stride)] == list(range(0, 40, stride))


def test_indices_come_once_and_ascending(numbered: Path) -> None:
    frames = list(iterate(numbered, indices=[39, 4, 17, 4]))
    assert [(frame.index, read_number(frame.image)) for frame in frames] == [(4, 4), (17, 17), (39, 39)]
    assert list(iterate(numbered, indices=[])) == []


def test_only_wanted_frames_are_converted(numbered: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    converted = []

    class Counting:
        def reformat(self, frame: av.VideoFrame, **kwargs: Any) -> av.VideoFrame:
            converted.append(frame.pts)
            return VideoReformatter().reformat(frame, **kwargs)

    monkeypatch.setattr("cardpose.data.footage.video.VideoReformatter", Counting)
    assert len(list(iterate(numbered, stride=10))) == len(converted) == 4


def test_colours_survive(tmp_path: Path) -> None:
    colours = [(200, 30, 60), (20, 160, 90), (40, 60, 210), (255, 255, 255), (0, 0, 0)]
    with VideoWriter(tmp_path / "colours.mp4", *SIZE, rate=30, crf=10) as writer:
        for colour in colours:
            writer.write(np.full((SIZE[1], SIZE[0], 3), colour, np.uint8))
    for frame, colour in zip(iterate(tmp_path / "colours.mp4"), colours, strict=True):
        np.testing.assert_allclose(frame.image.mean(axis=(0, 1)), colour, atol=4)


@pytest.mark.parametrize("container", ["mp4", "matroska", "mpegts"])
def test_uneven_timestamps_are_true_in_every_container(tmp_path: Path, container: str) -> None:
    times = [0.0, 0.04, 0.1, 0.35, 0.36, 0.9]
    path = tmp_path / "uneven.mp4"
    with VideoWriter(path, *SIZE, rate=25) as writer:
        for number, time in enumerate(times):
            writer.write(number_image(number), time)
    if container != "mp4":
        path = remux(path, tmp_path / "uneven", container)
    frames = list(iterate(path, stride=2))
    np.testing.assert_allclose([frame.timestamp for frame in frames], times[::2], atol=1e-3)
    info = probe(path)
    assert info.num_frames == len(times)
    assert info.duration == pytest.approx(0.94, abs=0.05)


def test_time_starts_at_the_first_frame(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "late.mp4", *SIZE, rate=25) as writer:
        for number in range(3):
            writer.write(number_image(number), 1.4 + number / 25)
    np.testing.assert_allclose([frame.timestamp for frame in iterate(tmp_path / "late.mp4")], [0, 0.04, 0.08])


def remux(path: Path, target: Path, container: str) -> Path:
    """The same packets in another container, which keeps no count of its frames."""
    with av.open(str(path)) as source, av.open(str(target), "w", format=container) as sink:
        stream = sink.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                sink.mux(packet)
    return target


@pytest.mark.parametrize(
    ("matrix", "rotation", "shown"),
    [
        (IDENTITY, 0, (0, 1, 2, 3)),
        ((0, 1, -1, 0), 90, (3, 0, 1, 2)),  # a phone held upright: what was left is up
        ((-1, 0, 0, -1), 180, (2, 3, 0, 1)),
        ((0, -1, 1, 0), 270, (1, 2, 3, 0)),
        ((-1, 0, 0, 1), 0, (1, 0, 3, 2)),  # a front camera: mirrored
        ((0, 1, 1, 0), 270, (0, 3, 2, 1)),
    ],
)
def test_frames_are_turned_by_the_container(
    tmp_path: Path, matrix: tuple[int, int, int, int], rotation: int, shown: tuple[int, ...]
) -> None:
    image = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
    image[:24, 32:], image[24:, 32:], image[24:, :32] = 60, 120, 180
    path = tmp_path / "phone.mp4"
    with VideoWriter(path, *SIZE, rate=30) as writer:
        for _ in range(3):
            writer.write(image)
    set_matrix(path, *matrix)
    info = probe(path)
    size = SIZE[::-1] if rotation % 180 else SIZE
    assert (info.width, info.height, info.rotation) == (*size, rotation)
    for frame in iterate(path):
        assert frame.image.shape == (size[1], size[0], 3)
        assert frame.image.flags.c_contiguous
        assert quadrants(frame.image) == shown


def test_written_file_is_what_browsers_play(numbered: Path) -> None:
    data = numbered.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat"), "the index must stand in front"
    with av.open(str(numbered)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")


def test_same_frames_give_the_same_bytes(make_clip: Callable[..., Path], tmp_path: Path) -> None:
    assert make_clip(tmp_path / "a.mp4").read_bytes() == make_clip(tmp_path / "b.mp4").read_bytes()


def write_all(path: Path, images: Iterable[np.ndarray]) -> None:
    with VideoWriter(path, *SIZE, rate=30) as writer:
        for image in images:
            writer.write(image)


def test_nothing_is_left_after_an_exception(tmp_path: Path) -> None:
    def interrupted() -> Iterator[np.ndarray]:
        yield number_image(1)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_all(tmp_path / "cut.mp4", interrupted())
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (20, SIZE[1], SIZE[0], 3), dtype=np.uint8)
    with largest_file(20_000), pytest.raises(InputError, match=r"full\.mp4: .*: raise the limit"):
        write_all(tmp_path / "full.mp4", noise)
    assert list(tmp_path.iterdir()) == []


def test_writer_refuses_what_it_cannot_keep(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="even width and height, got 63x48"):
        VideoWriter(tmp_path / "odd.mp4", 63, 48, rate=30)
    with pytest.raises(InputError, match="rate is 0"):
        VideoWriter(tmp_path / "still.mp4", *SIZE, rate=0)
    with pytest.raises(InputError, match="no frame was written"):
        write_all(tmp_path / "no.mp4", [])
    with VideoWriter(tmp_path / "good.mp4", *SIZE, rate=30) as writer:
        writer.write(number_image(0), 0.5)
        with pytest.raises(ValueError, match="not after"):
            writer.write(number_image(1), 0.5)
        with pytest.raises(ValueError, match="want uint8"):
            writer.write(np.zeros((10, 10, 3), np.uint8))
    assert [path.name for path in tmp_path.iterdir()] == ["good.mp4"]


def trimmed(source: Path, target: Path) -> Path:
    """A clip trimmed without encoding anew: an edit list that starts 10 frames (0.4 s) in."""
    data = bytearray(source.read_bytes())
    start = data.index(b"elst") + 8  # after the name, version and flags
    count, duration, media_time = struct.unpack(">IIi", data[start : start + 12])
    assert count == 1
    data[start : start + 12] = struct.pack(">IIi", count, duration - 400, media_time + 36_000)
    target.write_bytes(data)
    return target


def test_a_trimmed_clip_has_only_the_frames_that_are_shown(numbered: Path, tmp_path: Path) -> None:
    path = trimmed(numbered, tmp_path / "trimmed.mp4")
    frames = list(iterate(path))
    assert read_number(frames[0].image) == 10
    assert frames[0].timestamp == 0
    assert probe(path).num_frames == len(frames) == 30


def test_bad_files_are_named(numbered: Path, tmp_path: Path) -> None:
    def bad(name: str, content: bytes) -> Path:
        (tmp_path / name).write_bytes(content)
        return tmp_path / name

    data = numbered.read_bytes()
    cases = {
        "no such video file": tmp_path / "missing.mp4",
        "the file is empty": bad("empty.mp4", b""),
        "not a whole video": bad("text.mp4", b"this is no video at all" * 100),
        "file ends before its last frame": bad("truncated.mp4", data[: int(len(data) * 0.7)]),
        "moov|Invalid data": bad(
            "headless.mp4", data[: data.index(b"moov") - 4] + data[data.index(b"mdat") - 4 :]
        ),
    }
    for message, path in cases.items():
        for use in (probe, lambda path: list(iterate(path)), lambda path: list(iterate(path, indices=[39]))):
            with pytest.raises(InputError, match=message) as caught:
                use(path)
            assert str(path) in str(caught.value)
            assert "\n" not in str(caught.value)


def test_damage_in_the_middle_is_found(numbered: Path, tmp_path: Path) -> None:
    data = bytearray(numbered.read_bytes())
    start = data.index(b"mdat") + 4
    data[start + (len(data) - start) // 2 :] = bytes(len(data) - start - (len(data) - start) // 2)
    path = tmp_path / "damaged.mp4"
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"damaged\.mp4: not a whole video"):
        list(iterate(path))


def test_a_video_without_a_frame_is_named(tmp_path: Path) -> None:
    path = tmp_path / "zero.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        container.start_encoding()
    with pytest.raises(InputError, match=r"zero\.mkv: (holds no frame|not a whole video)"):
        probe(path)
    with pytest.raises(InputError, match=r"zero\.mkv: (holds no frame|not a whole video)"):
        list(iterate(path))


def test_a_frame_past_the_end_names_the_last_one(numbered: Path) -> None:
    with pytest.raises(InputError, match=r"numbered\.mp4: no frame 40, the video has 40 \(0 to 39\)"):
        list(iterate(numbered, indices=[3, 40]))
    with pytest.raises(InputError, match="no frame -1"):
        list(iterate(numbered, indices=[-1]))
    with pytest.raises(InputError, match="stride=0"):
        list(iterate(numbered, stride=0))


def test_a_stream_that_pyav_does_not_list_is_damage(numbered: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """FFmpeg finds some streams of a broken file only while it reads; PyAV then counts past the ones it knows."""

    def decode(self: object, *streams: object) -> Iterator[av.VideoFrame]:
        raise IndexError("list index out of range")

    opened = av.open

    class Broken:
        def __init__(self, path: str, **options: Any) -> None:
            self._container = opened(path, **options)

        def __enter__(self) -> "Broken":
            return self

        def __exit__(self, *error: object) -> None:
            self._container.close()

        def __getattr__(self, name: str) -> Any:
            return (
                (lambda *streams: decode(self))
                if name in ("decode", "demux")
                else getattr(self._container, name)
            )

    monkeypatch.setattr(av, "open", Broken)
    with pytest.raises(InputError, match=r"numbered\.mp4: not a whole video \(a stream begins in the middle"):
        list(iterate(numbered))


@pytest.mark.parametrize(("rotation", "turns"), [(0, 0), (-90, 1), (90, 3), (180, 2)])
def test_side_data_that_pyav_does_not_know_leaves_the_turn(rotation: int, turns: int) -> None:
    class Frame:
        def __init__(self) -> None:
            self.rotation = rotation

        @property
        def side_data(self) -> dict[object, bytes]:
            raise ValueError("30 is not a valid Type")

    assert video._orientation(Frame()) == (turns, False)  # type: ignore[arg-type]
