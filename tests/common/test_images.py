"""Image files: what is written is read again."""

from pathlib import Path

import numpy as np
import pytest

from cardpose.common.images import encode_image, read_image, small_jpeg, write_image

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
