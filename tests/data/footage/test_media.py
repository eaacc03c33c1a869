"""Footage as FFmpeg shows it, whatever its container, and what is told of a file before it is read."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.stream import Disposition
from PIL import Image

from cardpose.common.errors import InputError
from cardpose.data.footage import truncation
from cardpose.data.footage.media import Kind, kind_of, pages_note, sort_out
from cardpose.data.footage.video import iterate, probe

CODECS = {
    "mkv": "libx264",
    "avi": "mpeg4",
    "flv": "flv1",
    "ts": "libx264",
    "mpg": "mpeg2video",
    "mp4": "libx264",
}
SIZE = (160, 120)


def encode(
    path: Path,
    frames: int = 45,
    codec: str = "libx264",
    *,
    aspect: Fraction | None = None,
    size: tuple[int, int] = SIZE,
    format: str | None = None,
    rate: int = 15,
    pixels: str = "yuv420p",
    options: dict[str, str] | None = None,
    muxing: dict[str, str] | None = None,
) -> Path:
    """Noise, so that every frame has many bytes and a cut falls where it is wanted."""
    with av.open(str(path), "w", format=format, options=muxing) as container:
        stream = container.add_stream(codec, rate=rate, options=options)
        stream.width, stream.height, stream.pix_fmt = *size, pixels
        if aspect is not None:
            stream.codec_context.sample_aspect_ratio = aspect
        for number in range(frames):
            noise = np.random.default_rng(number).integers(0, 255, (size[1], size[0], 3), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(noise, "rgb24")))
        container.mux(stream.encode())
    return path


def cut(path: Path, share: float) -> None:
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])


@pytest.mark.parametrize("container", ["mkv", "avi", "flv"])
def test_a_recording_that_breaks_off_is_said_where_the_container_tells_its_length(
    tmp_path: Path, container: str
) -> None:
    path = encode(tmp_path / f"a.{container}", codec=CODECS[container])
    reads = truncation._read_through.cache_info().misses
    assert probe(path).num_frames == len(list(iterate(path))) == 45
    assert truncation._read_through.cache_info().misses <= reads + 1, "read through once"
    cut(path, 0.5)
    with pytest.raises(InputError, match=r"breaks off after \d+ frames, about \d+ are missing"):
        probe(path)
    assert abs(probe(path, whole=False).num_frames - 45) <= 2
    with pytest.raises(InputError, match=r"only the first \d+ frames can be decoded"):
        list(iterate(path))


@pytest.mark.parametrize("container", ["ts", "mpg"])
def test_a_stream_without_a_length_ends_where_it_ends(tmp_path: Path, container: str) -> None:
    path = encode(tmp_path / f"a.{container}", codec=CODECS[container])
    cut(path, 0.5)
    assert 0 < probe(path).num_frames < 45
    assert 0 < len(list(iterate(path))) < 45


@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_a_raw_stream_has_frames_and_times(tmp_path: Path, codec: str) -> None:
    path = encode(tmp_path / f"a.{codec}", 6, f"lib{'x264' if codec == 'h264' else 'x265'}", format=codec)
    assert probe(path).num_frames == 6
    times = [frame.timestamp for frame in iterate(path)]
    assert len(times) == 6
    assert np.all(np.diff(times) > 0)


@pytest.mark.parametrize(
    ("aspect", "width"), [(Fraction(4, 3), 213), (Fraction(1, 2), 80), (Fraction(1), 160)]
)
def test_pixels_that_are_not_square_are_shown_square(tmp_path: Path, aspect: Fraction, width: int) -> None:
    path = encode(tmp_path / "a.mp4", 3, aspect=aspect)
    assert (probe(path).width, probe(path).height) == (width, 120)
    assert {frame.image.shape for frame in iterate(path)} == {(120, width, 3)}


def test_a_size_that_changes_on_the_way_is_fitted_into_the_first(tmp_path: Path) -> None:
    parts = [encode(tmp_path / f"{k}.ts", 4, size=size) for k, size in enumerate([(160, 120), (120, 160)])]
    whole = tmp_path / "whole.ts"
    whole.write_bytes(b"".join(part.read_bytes() for part in parts))
    frames = [frame.image for frame in iterate(whole)]
    assert {frame.shape for frame in frames} == {(120, 160, 3)}
    assert frames[0][:, :30].mean() > 50
    assert frames[-1][:, :30].max() == 0 == frames[-1][:, -30:].max(), "upright in between black bars"
    assert frames[-1][:, 60:100].mean() > 50


def test_the_best_stream_is_read_and_not_the_cover(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        cover = container.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 32, 32, "yuvj420p"
        film = container.add_stream("libx264", rate=15)
        film.width, film.height, film.pix_fmt = *SIZE, "yuv420p"
        container.mux(cover.encode(av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), "rgb24")))
        container.mux(cover.encode())
        for number in range(5):
            grey = np.full((SIZE[1], SIZE[0], 3), 40 * number, np.uint8)
            container.mux(film.encode(av.VideoFrame.from_ndarray(grey, "rgb24")))
        container.mux(film.encode())
    assert (probe(path).width, probe(path).height) == SIZE
    assert len(list(iterate(path))) == 5


def make_gif(path: Path, pages: int) -> Path:
    frames = [Image.new("RGB", (32, 24), (60 * k, 90, 20)) for k in range(pages)]
    frames[0].save(path, save_all=True, append_images=frames[1:])
    return path


def test_files_are_known_by_content(tmp_path: Path, make_clip: Callable[..., Path]) -> None:
    named = {
        make_clip(tmp_path / "film.jpg.mp4").rename(tmp_path / "film.jpg"): Kind.VIDEO,
        encode(tmp_path / "a.m2ts", 3, format="mpegts"): Kind.VIDEO,
        make_gif(tmp_path / "animated.gif", 3): Kind.VIDEO,
        make_gif(tmp_path / "still.gif", 1): Kind.PICTURE,
        tmp_path / "notes.txt": Kind.OTHER,
        tmp_path / "empty.mp4": Kind.VIDEO,
        tmp_path / "torn.heic": Kind.PICTURE,
        tmp_path / "no_ending": Kind.PICTURE,
    }
    (tmp_path / "notes.txt").write_text("cards\n")
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "torn.heic").write_bytes(b"torn")
    Image.new("RGB", (32, 24)).save(tmp_path / "no_ending", "PNG")
    (tmp_path / ".hidden.png").write_bytes((tmp_path / "no_ending").read_bytes())
    assert {path: kind_of(path) for path in named} == named
    sorted_out = sort_out(sorted(tmp_path.iterdir()))
    assert sorted_out[Kind.OTHER] == [tmp_path / "notes.txt"]
    assert sum(map(len, sorted_out.values())) == len(named), "hidden files are no footage"


def test_pages_that_are_not_read_are_said(tmp_path: Path) -> None:
    pages = [Image.new("RGB", (32, 24)) for _ in range(2)]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    pages[0].save(tmp_path / "b.tif")
    assert "holds 2 pictures, only the first is read" in pages_note(tmp_path / "a.tif")
    assert pages_note(tmp_path / "b.tif") == ""


@pytest.mark.parametrize(("container", "codec"), [("mkv", "libx264"), ("wmv", "wmv2"), ("gif", "gif")])
def test_the_last_part_of_a_short_recording_is_missed(tmp_path: Path, container: str, codec: str) -> None:
    """A third of a second: less than a player would notice."""
    pixels = "rgb8" if codec == "gif" else "yuv420p"
    path = encode(tmp_path / f"a.{container}", 20, codec, rate=25, pixels=pixels)
    assert probe(path).num_frames == len(list(iterate(path))) == 20
    cut(path, 0.6)
    with pytest.raises(InputError, match="breaks off after"):
        probe(path)
    with pytest.raises(InputError, match="only the first"):
        list(iterate(path))


def test_a_fragmented_recording_that_breaks_off_is_said(tmp_path: Path) -> None:
    muxing = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
    path = encode(tmp_path / "a.mp4", 20, rate=25, options={"g": "5"}, muxing=muxing)
    assert probe(path).num_frames == len(list(iterate(path))) == 20
    cut(path, 0.9)
    with pytest.raises(InputError, match="breaks off after"):
        probe(path)
    with pytest.raises(InputError, match="only the first"):
        list(iterate(path))


@pytest.mark.parametrize("container", ["mp4", "ts", "mpg"])
def test_frames_that_the_decoder_had_to_fill_in_are_known(tmp_path: Path, container: str) -> None:
    path = encode(tmp_path / f"a.{container}", codec=CODECS[container])
    assert not any(frame.damaged for frame in iterate(path))
    data = bytearray(path.read_bytes())
    for place in np.random.default_rng(0).integers(len(data) // 3, len(data) // 2, 12):
        data[place] ^= 0x55
    path.write_bytes(data)
    damaged = [frame.index for frame in iterate(path) if frame.damaged]
    assert damaged
    assert 0 not in damaged


@pytest.mark.parametrize("name", ["a.tga", "a.ico", "a.pcx", "a.pdf", "a.dds"])
def test_a_picture_that_is_not_read_is_no_video(tmp_path: Path, name: str) -> None:
    Image.new("RGB", (64, 48)).save(tmp_path / name)
    assert kind_of(tmp_path / name) is Kind.OTHER
    with pytest.raises(InputError, match=r"save it as PNG or JPEG|holds no video|not a whole video"):
        probe(tmp_path / name)


def test_the_cover_of_a_song_is_no_video(tmp_path: Path) -> None:
    Image.new("RGB", (64, 48)).save(tmp_path / "cover.jpg")
    with av.open(str(tmp_path / "song.m4a"), "w", format="mp4") as container:
        sound = container.add_stream("aac", rate=44100)
        cover = container.add_stream("mjpeg")
        cover.width, cover.height, cover.pix_fmt = 64, 48, "yuvj420p"
        cover.disposition = Disposition.attached_pic
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        frame.rate = 44100
        container.mux(sound.encode(frame))
        container.mux(cover.encode(av.VideoFrame.from_image(Image.open(tmp_path / "cover.jpg"))))
        container.mux(cover.encode())
        container.mux(sound.encode())
    assert kind_of(tmp_path / "song.m4a") is Kind.OTHER
    with pytest.raises(InputError, match="holds no video stream"):
        probe(tmp_path / "song.m4a")


@pytest.mark.parametrize("name", ["a.3gp", "a.mkv", "a.MTS", "a.wmv", "a.m4v"])
def test_a_damaged_video_is_still_one_by_its_name(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(bytes(500))
    assert kind_of(tmp_path / name) is Kind.VIDEO


def test_a_shape_of_pixels_that_makes_frames_too_large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = encode(tmp_path / "a.mp4", frames=2, aspect=Fraction(100, 1))
    monkeypatch.setenv("CARDPOSE_MAX_MEGAPIXELS", "1")
    with pytest.raises(InputError, match="2 megapixels, more than the limit of 1"):
        probe(path)
    monkeypatch.setenv("CARDPOSE_MAX_MEGAPIXELS", "2")
    assert probe(path).width == 100 * SIZE[0]


def test_a_tape_states_the_rate_of_its_frames(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.dv", frames=3, codec="dvvideo", size=(720, 576), rate=25)
    assert probe(path).rate == 25


def test_a_codec_without_a_decoder_is_said(tmp_path: Path, make_clip: Callable[..., Path]) -> None:
    path = make_clip(tmp_path / "a.mp4")
    path.write_bytes(path.read_bytes().replace(b"avc1", b"zzzz"))
    assert kind_of(path) is Kind.VIDEO
    with pytest.raises(InputError, match=r"a\.mp4: FFmpeg has no decoder for this video"):
        probe(path)
