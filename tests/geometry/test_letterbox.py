import numpy as np
import pytest

from cardpose.geometry.letterbox import PAD_GREY, invert_affine, letterbox


def blob(size: tuple[int, int], centre: tuple[float, float], sigma: float) -> np.ndarray:
    """A white Gaussian on black at a sub-pixel `centre` (x, y)."""
    y, x = np.mgrid[: size[0], : size[1]]
    value = 255 * np.exp(-((x - centre[0]) ** 2 + (y - centre[1]) ** 2) / (2 * sigma**2))
    return np.repeat(np.round(value).astype(np.uint8)[..., None], 3, axis=2)


def centroid(image: np.ndarray) -> np.ndarray:
    weight = image[..., 0].astype(float)
    y, x = np.mgrid[: weight.shape[0], : weight.shape[1]]
    return np.array([(x * weight).sum(), (y * weight).sum()]) / weight.sum()


@pytest.mark.parametrize("source", [(480, 640), (640, 480), (720, 1280), (101, 67), (60, 80)])
def test_positions_survive_the_way_to_the_network_and_back(source: tuple[int, int]) -> None:
    size = (192, 256)
    centre = (source[1] * 0.37, source[0] * 0.58)
    image, to_source = letterbox(blob(source, centre, sigma=max(source) / 40), size)
    # The padding is no part of the blob.
    filled = np.where((image == PAD_GREY).all(axis=(0, 2), keepdims=True), 0, image)
    filled = np.where((filled == PAD_GREY).all(axis=(1, 2), keepdims=True), 0, filled)
    back = to_source @ [*centroid(filled), 1]
    scale = to_source[0, 0]
    assert image.shape == (*size, 3)
    assert np.abs(back - centre).max() < 0.05 * max(scale, 1)


def test_no_padding_where_the_shapes_agree() -> None:
    image, to_source = letterbox(np.full((480, 640, 3), 7, np.uint8), (192, 256))
    assert (image == 7).all()
    np.testing.assert_allclose(to_source, [[2.5, 0, 0.75], [0, 2.5, 0.75]])


def test_padding_is_grey_and_centred() -> None:
    image, _ = letterbox(np.full((100, 50, 3), 7, np.uint8), (40, 60))
    columns = (image == 7).all(axis=(0, 2))
    assert columns.tolist() == [False] * 20 + [True] * 20 + [False] * 20
    assert (image[:, ~columns] == PAD_GREY).all()


def test_inverse_affine() -> None:
    _, to_source = letterbox(np.zeros((333, 217, 3), np.uint8), (192, 256))
    points = np.array([[0.0, 0.0], [216.0, 332.0], [100.25, 7.5]])
    there = np.c_[points, np.ones(3)] @ invert_affine(to_source).T
    np.testing.assert_allclose(np.c_[there, np.ones(3)] @ to_source.T, points, atol=1e-3)
