"""Image files: what is written is read again."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFile, ImageOps

from cardpose.common.errors import InputError
from cardpose.common.images import encode_image, read_focal, read_header, read_image, small_jpeg, write_image

LOSSY: dict[str, dict[str, Any]] = {
    "jpg": {"quality": 95, "subsampling": 0},
    "avif": {"quality": 100, "subsampling": "4:4:4"},
}
IMAGE = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)


def test_a_png_keeps_every_pixel(tmp_path: Path) -> None:
    write_image(tmp_path / "a.png", IMAGE)
    assert np.array_equal(read_image(tmp_path / "a.png"), IMAGE)
    assert (tmp_path / "a.png").read_bytes() == encode_image(IMAGE, ".png")


@pytest.mark.parametrize(("width", "shape"), [(16, (12, 16, 3)), (32, (24, 32, 3)), (99, (24, 32, 3))])
def test_a_small_jpeg_is_shrunk_and_never_enlarged(
    tmp_path: Path, width: int, shape: tuple[int, int, int]
) -> None:
    (tmp_path / "a.jpg").write_bytes(small_jpeg(IMAGE, width))
    assert read_image(tmp_path / "a.jpg").shape == shape
    assert len(small_jpeg(IMAGE, width)) < len(encode_image(IMAGE, ".jpg"))


def test_a_small_jpeg_looks_like_its_picture(tmp_path: Path) -> None:
    picture = np.full((40, 60, 3), (200, 30, 90), np.uint8)
    (tmp_path / "a.jpg").write_bytes(small_jpeg(picture, 30))
    assert np.abs(read_image(tmp_path / "a.jpg").astype(int) - picture[0, 0]).max() < 8


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(
    ("suffix", "format"),
    [("jpg", "JPEG"), ("png", "PNG"), ("webp", "WEBP"), ("tif", "TIFF"), ("avif", "AVIF")],
)
def test_every_format_is_turned_by_its_orientation(
    tmp_path: Path, suffix: str, format: str, orientation: int
) -> None:
    path, exif = tmp_path / f"a.{suffix}", Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(np.repeat(np.repeat(IMAGE[:3, :4], 8, 0), 8, 1))
    stored.save(
        path,
        format,
        exif=exif,
        **(LOSSY.get(suffix) or {"lossless": True}),
    )
    shown = np.array(ImageOps.exif_transpose(Image.open(path)).convert("RGB"))
    assert shown.shape == ((32, 24, 3) if orientation > 4 else (24, 32, 3))
    np.testing.assert_allclose(read_image(path), shown, atol=8 if suffix in LOSSY else 0)


def test_a_format_that_opencv_lacks(tmp_path: Path) -> None:
    Image.fromarray(IMAGE).save(tmp_path / "a.avif", quality=100, subsampling="4:4:4")
    assert np.abs(read_image(tmp_path / "a.avif").astype(int) - IMAGE).mean() < 4


def test_a_tiled_heic_is_one_picture(faults: Path) -> None:
    tiled, whole = (
        read_image(faults / "heic-first-tile" / name) for name in ("IMG_2734.HEIC", "same_photo.jpg")
    )
    assert tiled.shape == whole.shape == (480, 640, 3)
    assert np.abs(tiled.astype(int) - whole).mean() < 3


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_a_jpeg_that_is_cut_short_is_refused(tmp_path: Path, share: float) -> None:
    whole = encode_image(np.kron(IMAGE, np.ones((8, 8, 1), np.uint8)), ".jpg")
    (tmp_path / "a.jpg").write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(InputError, match=r"a\.jpg: the JPEG is cut short or damaged"):
        read_image(tmp_path / "a.jpg")
    (tmp_path / "b.jpg").write_bytes(whole + b"\0" * 100)  # as some cameras pad it
    assert read_image(tmp_path / "b.jpg").shape == (192, 256, 3)


@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_with_a_missing_block_is_refused(tmp_path: Path, progressive: bool) -> None:
    """Its end marker is there: a copy that lost a part, or half a picture before that of a phone's video."""
    path = tmp_path / "a.jpg"
    noise = np.random.default_rng(0).integers(0, 256, (480, 640, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path, quality=90, progressive=progressive)
    read_image(path)
    data = path.read_bytes()
    half = len(data) // 2
    for damaged in (data[:half] + b"\xff\xd9", data[:half] + data[half + 4096 :]):
        path.write_bytes(damaged)
        with pytest.raises(InputError, match="cut short or damaged"):
            read_image(path)
    path.write_bytes(data + bytes(100) + data[:half])
    assert read_image(path).shape == (480, 640, 3), "what follows the end is no part of the picture"


@pytest.mark.parametrize("tag", [50706, 254])
def test_a_raw_photograph_is_refused_instead_of_its_thumbnail(tmp_path: Path, tag: int) -> None:
    Image.fromarray(IMAGE).save(tmp_path / "a.dng", "TIFF", tiffinfo={tag: 1})
    with pytest.raises(InputError, match="raw photograph: save it as JPEG"):
        read_image(tmp_path / "a.dng")


def test_the_end_of_an_exif_thumbnail_is_not_the_end_of_the_picture(tmp_path: Path) -> None:
    whole = encode_image(np.kron(IMAGE, np.ones((8, 8, 1), np.uint8)), ".jpg")
    thumbnail = encode_image(IMAGE, ".jpg")
    segment = b"\xff\xe1" + (len(thumbnail) + 2).to_bytes(2, "big") + thumbnail
    (tmp_path / "a.jpg").write_bytes((whole[:2] + segment + whole[2:])[: -len(whole) // 2])
    with pytest.raises(InputError, match="cut short or damaged"):
        read_image(tmp_path / "a.jpg")


@pytest.mark.parametrize("suffix", ["jpg", "png", "bmp", "tif"])
def test_a_picture_bomb_is_refused_by_its_header(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(IMAGE).resize((2000, 1000)).save(path)
    monkeypatch.setenv("CARDPOSE_MAX_MEGAPIXELS", "1.5")
    with pytest.raises(
        InputError, match=rf"a\.{suffix}: 2 megapixels, more than .* CARDPOSE_MAX_MEGAPIXELS=2"
    ):
        read_image(path)
    monkeypatch.setenv("CARDPOSE_MAX_MEGAPIXELS", "2")
    assert read_image(path).shape == (1000, 2000, 3)


def test_the_header_of_a_png_is_read_without_its_pixels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the orientation stands behind them, as some tools write it."""
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / "a.png"
    Image.fromarray(IMAGE).save(path, exif=exif)
    data = path.read_bytes()
    start = data.index(b"eXIf") - 4
    chunk = data[start : start + 12 + int.from_bytes(data[start : start + 4], "big")]
    end = data.index(b"IEND") - 4
    path.write_bytes(data[:start] + data[start + len(chunk) : end] + chunk + data[end:])
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda self: pytest.fail("the pixels are read"))
    assert read_header(path).orientation == 6
    assert np.array_equal(read_image(path), np.rot90(IMAGE, -1))
    Image.fromarray(IMAGE).save(path)
    assert read_header(path).orientation == 1


@pytest.mark.parametrize("limit", ["0", "-3", "many", "nan"])
def test_a_limit_that_is_none(tmp_path: Path, limit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    write_image(tmp_path / "a.png", IMAGE)
    monkeypatch.setenv("CARDPOSE_MAX_MEGAPIXELS", limit)
    with pytest.raises(InputError, match=f"CARDPOSE_MAX_MEGAPIXELS={limit}: write a number above 0"):
        read_image(tmp_path / "a.png")


def test_a_name_that_is_not_utf8(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9.png")
    path.write_bytes(encode_image(IMAGE, ".png"))
    assert np.array_equal(read_image(path), IMAGE)


def test_headers_tell_pages_without_the_pixels(tmp_path: Path) -> None:
    frames = [Image.fromarray(np.roll(IMAGE, k, 0)) for k in range(3)]
    for suffix, format in (("gif", "GIF"), ("tif", "TIFF"), ("webp", "WEBP")):
        frames[0].save(tmp_path / f"a.{suffix}", save_all=True, append_images=frames[1:])
        header = read_header(tmp_path / f"a.{suffix}")
        assert (header.format, header.width, header.height, header.pages) == (format, 32, 24, 3)


@pytest.mark.parametrize("content", [b"", b"text", b"\xff\xd8", b"\x89PNG\r\n\x1a\n" + b"\0" * 30])
def test_what_is_no_image_is_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.jpg").write_bytes(content)
    for path in (tmp_path / "a.jpg", tmp_path / "missing.jpg", tmp_path):
        with pytest.raises(InputError, match="missing or not a whole image"):
            read_image(path)


@pytest.mark.parametrize(
    ("equivalent", "recorded", "focal"),
    [
        (26, None, 26 / 43.27 * 1.25),
        (26, (4032, 3024), 26 / 43.27 * 1.25),
        (26, (4032, 2268), None),  # cut to another shape
        (0, None, None),  # unknown, by the standard
        (None, None, None),
    ],
)
def test_the_focal_length_of_a_photograph(
    tmp_path: Path, equivalent: int | None, recorded: tuple[int, int] | None, focal: float | None
) -> None:
    exif = Image.Exif()
    camera = exif.get_ifd(0x8769)
    if equivalent is not None:
        camera[0xA405] = equivalent
    if recorded:
        camera[0xA002], camera[0xA003] = recorded
    path = tmp_path / "a.jpg"
    Image.new("RGB", (400, 300)).save(path, exif=exif)
    found = read_focal(path)
    assert found == (None if focal is None else pytest.approx(focal, rel=1e-3))


def test_no_picture_has_no_focal_length(tmp_path: Path) -> None:
    assert read_focal(tmp_path / "missing.jpg") is None
