from pathlib import Path

import numpy as np
import pytest
from omegaconf import OmegaConf

from cardpose.common.errors import InputError
from cardpose.common.hydra_entry import plain
from cardpose.common.packet import CORNERS, FLIP_INDEX
from cardpose.data.augment import MAX_ROTATE_DEG, Augmenter, Warp, apply_warp, sample_warp
from cardpose.data.dataset import Augment
from cardpose.models.builder import build

CONF = Path(__file__).parents[2] / "conf" / "augment"
SIZE = (192, 256)
CORNER_PIXELS = np.array(
    [
        [90.3, 60.7],
        [160.5, 62.2],
        [88.1, 90.9],
        [165.4, 95.0],
        [70.6, 120.2],
        [180.8, 125.1],
        [95, 150],
        [150, 148.5],
    ],
    np.float32,
)
ALL_VISIBLE = np.full(8, 2, np.int64)
FAR = Warp(rotate_deg=20, tilt_deg=5, scale=(0.8, 1.25), translate=0.05, flip_prob=0.5)


def dots(corners: np.ndarray, sigma: float = 1.5) -> np.ndarray:
    """Black, with a white Gaussian at each corner, below the pixel."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    image = np.zeros(SIZE)
    for cx, cy in corners:
        image = np.maximum(image, 255 * np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * sigma**2)))
    return np.repeat(np.round(image).astype(np.uint8)[..., None], 3, axis=2)


def centroids(image: np.ndarray, near: np.ndarray, radius: int = 7) -> np.ndarray:
    """Centre of mass of the light around each point."""
    found = []
    for x, y in np.round(near).astype(int):
        window = image[y - radius : y + radius + 1, x - radius : x + radius + 1, 0].astype(float)
        rows, columns = np.mgrid[-radius : radius + 1, -radius : radius + 1]
        found.append([x + (columns * window).sum() / window.sum(), y + (rows * window).sum() / window.sum()])
    return np.array(found)


def augmenter(warp: Warp | None = None, probability: float = 0.0, **changes: float) -> Augmenter:
    """Effects that do nearly nothing, but for `changes`."""
    effects = {"brightness": 0, "contrast": 0, "gamma": (1, 1), "hue": 0, "saturation": 0}
    effects |= {"blur": 0.11, "motion": 3, "noise": 0, "compression": 100}
    return Augmenter(warp or Warp(), probability=probability, **(effects | changes))


def from_conf(name: str) -> Augment:
    return build(plain(OmegaConf.load(CONF / f"{name}.yaml")))


@pytest.mark.parametrize("seed", range(20))
def test_corners_follow_the_image(seed: int) -> None:
    image, corners, visibility = augmenter(FAR)(dots(CORNER_PIXELS), CORNER_PIXELS, ALL_VISIBLE, seed)
    offset = centroids(image, corners) - corners
    assert visibility.tolist() == [2] * 8
    assert np.abs(offset).max() < 0.15
    assert np.abs(offset.mean(axis=0)).max() < 0.05  # half a pixel off would be 0.5 in all


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("effect", [{"motion": 7}, {"blur": 1.5}, {"compression": 40}, {"noise": 0.02}])
def test_effects_leave_positions_alone(effect: dict[str, float], seed: int) -> None:
    image, corners, _ = augmenter(probability=1.0, **effect)(
        dots(CORNER_PIXELS), CORNER_PIXELS, ALL_VISIBLE, seed
    )
    np.testing.assert_array_equal(corners, CORNER_PIXELS)
    bright = np.where(image > 25, image, 0)  # noise and ringing aside
    assert np.abs(centroids(bright, corners) - corners).max() < 0.3


def mirrored() -> tuple[np.ndarray, bool]:
    return sample_warp(Warp(flip_prob=1.0), SIZE, np.random.default_rng(0))


def test_mirror_swaps_the_flip_pairs() -> None:
    image = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    visibility = np.array([2, 1, 2, 0, 2, 2, 1, 2])
    flipped, corners, seen = apply_warp(image, CORNER_PIXELS, visibility, *mirrored())
    np.testing.assert_array_equal(flipped, image[:, ::-1])
    for slot, name in enumerate(CORNERS):
        source = CORNERS.index(name.replace("left", "?").replace("right", "left").replace("?", "right"))
        assert seen[slot] == visibility[source]
        if visibility[source]:
            x, y = CORNER_PIXELS[source]
            np.testing.assert_allclose(corners[slot], [SIZE[1] - 1 - x, y], atol=1e-4)


def test_mirrored_twice_is_unchanged() -> None:
    image = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    visibility = np.array([2, 1, 2, 1, 2, 2, 1, 2])
    once = apply_warp(image, CORNER_PIXELS, visibility, *mirrored())
    again, corners, seen = apply_warp(*once, *mirrored())
    np.testing.assert_array_equal(again, image)
    np.testing.assert_allclose(corners, CORNER_PIXELS, atol=1e-4)
    np.testing.assert_array_equal(seen, visibility)


def test_mirrors_as_often_as_asked() -> None:
    rng = np.random.default_rng(0)
    for probability in (0.0, 0.3, 1.0):
        mirrors = [sample_warp(Warp(flip_prob=probability), SIZE, rng)[1] for _ in range(500)]
        assert abs(np.mean(mirrors) - probability) < 0.07


def test_visibility_follows_the_border() -> None:
    corners = np.array(
        [[0, 0], [5, 5], [-0.4, 191.4], [255.4, 0], [250, 100], [100, 100], [30, 50], [200, 3]], np.float32
    )
    visibility = np.array([2, 1, 2, 2, 2, 1, 0, 2])
    right = np.array([[1.0, 0, 10], [0, 1, 0], [0, 0, 1]])
    _, moved, seen = apply_warp(np.zeros((*SIZE, 3), np.uint8), corners, visibility, right, mirror=False)
    # Slots 3 and 4 left the image, slot 6 was not labelled before; hidden ones inside stay hidden.
    assert seen.tolist() == [2, 1, 2, 0, 0, 1, 0, 2]
    labelled = seen != 0
    np.testing.assert_allclose(moved[labelled], corners[labelled] + [10, 0], atol=1e-4)
    assert (moved[~labelled] == 0).all()
    _, _, kept = apply_warp(np.zeros((*SIZE, 3), np.uint8), corners, visibility, np.eye(3), mirror=False)
    np.testing.assert_array_equal(kept, visibility)


def test_nothing_asked_nothing_changed() -> None:
    image = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    same, corners, visibility = augmenter()(image, CORNER_PIXELS, ALL_VISIBLE, seed=3)
    np.testing.assert_array_equal(same, image)
    np.testing.assert_allclose(corners, CORNER_PIXELS, atol=1e-4)
    np.testing.assert_array_equal(visibility, ALL_VISIBLE)


@pytest.mark.parametrize("seed", range(20))
def test_the_homography_is_a_camera(seed: int) -> None:
    """Turned, tilted and zoomed about the image centre: the centre stays, and so do the ratios there, but for
    the tilt, which is second order at the centre."""
    warp = Warp(rotate_deg=30, tilt_deg=6, scale=(0.7, 1.4))
    matrix, _ = sample_warp(warp, SIZE, np.random.default_rng(seed))
    centre = np.array([(SIZE[1] - 1) / 2, (SIZE[0] - 1) / 2])

    def move(point: np.ndarray) -> np.ndarray:
        x, y, w = matrix @ [*point, 1]
        return np.array([x / w, y / w])

    np.testing.assert_allclose(move(centre), centre, atol=1e-9)
    step = 1e-3
    jacobian = np.array([(move(centre + np.eye(2)[i] * step) - move(centre)) / step for i in range(2)]).T
    zoom = np.linalg.svd(jacobian, compute_uv=False)
    assert 0.69 < zoom[1] <= zoom[0] < 1.43
    assert zoom[0] / zoom[1] < 1 / np.cos(np.deg2rad(6)) ** 2 + 1e-3
    assert abs(np.rad2deg(np.arctan2(jacobian[1, 0], jacobian[0, 0]))) < 31


def test_the_ranges_are_used_evenly() -> None:
    rng = np.random.default_rng(0)
    matrices = [sample_warp(Warp(scale=(0.5, 2.0), translate=0.1), SIZE, rng)[0] for _ in range(400)]
    zooms = np.log2([matrix[0, 0] for matrix in matrices])
    assert -1 <= zooms.min() < -0.95
    assert 0.95 < zooms.max() <= 1
    assert abs(zooms.mean()) < 0.1


@pytest.mark.parametrize("name", ["none", "light", "strong"])
def test_every_choice_keeps_shapes_types_and_slots(name: str) -> None:
    image = dots(CORNER_PIXELS)
    for seed in range(10):
        result = from_conf(name)(image, CORNER_PIXELS, ALL_VISIBLE, seed)
        assert [array.dtype for array in result] == [np.uint8, np.float32, np.int64]
        assert [array.shape for array in result] == [(*SIZE, 3), (8, 2), (8,)]
        assert ((result[1] >= -0.5) & (result[1] <= (255.5, 191.5))).all()


def test_a_seed_decides_everything() -> None:
    image = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    one, other = from_conf("strong"), from_conf("strong")
    results = [one(image, CORNER_PIXELS, ALL_VISIBLE, seed) for seed in range(12)]
    for seed in reversed(range(12)):  # in another order, by another object
        for a, b in zip(results[seed], other(image, CORNER_PIXELS, ALL_VISIBLE, seed), strict=True):
            np.testing.assert_array_equal(a, b)
    assert len({result[0].tobytes() for result in results}) == 12


def test_each_effect_is_drawn_by_itself() -> None:
    """With six effects at one half, 1 image in 64 is left alone; with shared draws 1 in 2 would be."""
    image = np.random.default_rng(0).integers(40, 200, (*SIZE, 3), dtype=np.uint8)
    effects = augmenter(
        probability=0.5,
        brightness=0.3,
        contrast=0.3,
        gamma=(0.5, 0.6),
        hue=20,
        saturation=30,
        noise=0.1,
        compression=20,
    )
    alone = [
        np.array_equal(effects(image, CORNER_PIXELS, ALL_VISIBLE, seed)[0], image) for seed in range(100)
    ]
    assert np.mean(alone) < 0.1


def test_the_example_is_left_alone() -> None:
    image, corners, visibility = dots(CORNER_PIXELS), CORNER_PIXELS.copy(), ALL_VISIBLE.copy()
    before = image.copy()
    for array in (image, corners, visibility):
        array.flags.writeable = False  # as the memory map is
    from_conf("strong")(image, corners, visibility, seed=1)
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize("degrees", [-1, MAX_ROTATE_DEG + 1, 90])
def test_too_far_a_turn(degrees: float) -> None:
    with pytest.raises(InputError, match=r"augment\.warp\.rotate_deg"):
        Warp(rotate_deg=degrees)


def test_flip_index_is_its_own_inverse() -> None:
    assert [FLIP_INDEX[i] for i in FLIP_INDEX] == list(range(8))
