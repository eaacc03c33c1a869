"""Augmentation of one training example; the only module that imports albumentations.

All geometry is one homography with one interpolation: four cards are little more than a pixel at the training size, and
every further resampling blurs them. The homography is that of a real camera, rotated and zoomed about its own centre,
so that the ratio of thickness to length, which determines the count, stays true. Corners are transformed by the same
matrix, in OpenCV's convention that an integer is the centre of a pixel. All other effects (light, colour, blur, noise,
compression) leave positions unchanged and come from albumentations.

Beyond the border the outermost pixels are repeated, so that a table stays a table. A constant fill would frame the
scene in a quadrilateral with corners of its own, and reflection would show parts of a second packet without labels.
"""

import os
import random
from dataclasses import dataclass

# Before the import, which otherwise checks for a newer release over the network.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

import albumentations as A
import cv2
import numpy as np

from cardpose.common.errors import InputError
from cardpose.common.packet import FLIP_INDEX, NOT_LABELLED
from cardpose.geometry.box_fit import PHONE_FOCAL

MAX_ROTATE_DEG = 30.0

_FLIP = np.array(FLIP_INDEX)


@dataclass(frozen=True)
class Warp:
    """Ranges of the homography.

    Args:
        rotate_deg: largest rotation about the image centre in either direction. At most 30: corners are named by their
            position in the image, and after a larger rotation the names would belong to other corners.
        tilt_deg: largest rotation of the camera to the side and up, in either direction; the image centre stays fixed.
        scale: smallest and largest zoom; above 1 enlarges.
        translate: largest shift in either direction, as a fraction of width and height.
        flip_prob: probability of mirroring left and right. A vertical flip is not offered, as it would show a packet
            that cannot exist.

    Raises:
        InputError: `rotate_deg` is too large.
    """

    rotate_deg: float = 0.0
    tilt_deg: float = 0.0
    scale: tuple[float, float] = (1.0, 1.0)
    translate: float = 0.0
    flip_prob: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.rotate_deg <= MAX_ROTATE_DEG:
            raise InputError(f"augment.warp.rotate_deg={self.rotate_deg}: choose 0 to {MAX_ROTATE_DEG:.0f}")


def sample_warp(warp: Warp, size: tuple[int, int], rng: np.random.Generator) -> tuple[np.ndarray, bool]:
    """Draw a homography for an image of `size` (H, W).

    Returns:
        (3, 3) float64, input pixels to output pixels, and whether it mirrors.
    """
    height, width = size
    roll, yaw, pitch = np.deg2rad(rng.uniform(-1, 1, 3) * (warp.rotate_deg, warp.tilt_deg, warp.tilt_deg))
    zoom = np.exp(rng.uniform(*np.log(warp.scale)))  # enlarging and shrinking are equally likely
    shift = rng.uniform(-warp.translate, warp.translate, 2) * (width, height)
    mirror = bool(rng.random() < warp.flip_prob)
    centre, focal = np.array([(width - 1) / 2, (height - 1) / 2]), PHONE_FOCAL * width
    camera = np.array([[focal, 0, 0], [0, focal, 0], [0, 0, 1]])  # its origin is the image centre
    tilt = camera @ _rotation(yaw, pitch) @ np.linalg.inv(camera)
    tilt = _translation(-tilt[:2, 2] / tilt[2, 2]) @ tilt
    cos, sin = zoom * np.cos(roll), zoom * np.sin(roll)
    turn = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
    flip = np.diag([-1.0 if mirror else 1.0, 1, 1])
    return _translation(centre + shift) @ turn @ tilt @ flip @ _translation(-centre), mirror


def apply_warp(
    image: np.ndarray, corners: np.ndarray, visibility: np.ndarray, matrix: np.ndarray, mirror: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Transform image and corners by one homography.

    Args:
        image: (H, W, 3) uint8.
        corners: (8, 2) float32 in its pixels.
        visibility: (8,), 0, 1 or 2.
        matrix: (3, 3), input pixels to output pixels.
        mirror: whether `matrix` swaps left and right; then the flip pairs swap slots.

    Returns:
        Image, corners and visibility of the same shapes and types. A corner outside the image becomes unlabelled:
        visibility 0, coordinates 0, like those that were unlabelled before.
    """
    height, width = image.shape[:2]
    image = cv2.warpPerspective(
        image, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    if mirror:
        corners, visibility = corners[_FLIP], visibility[_FLIP]
    moved = corners @ matrix[:2, :2].T + matrix[:2, 2]
    moved /= (corners @ matrix[2, :2] + matrix[2, 2])[:, None]
    edge = (width - 0.5, height - 0.5)  # outer edge of the outermost pixels
    inside = np.all((moved >= -0.5) & (moved <= edge), axis=1)
    labelled = inside & (visibility != NOT_LABELLED)
    kept = np.where(labelled, visibility, NOT_LABELLED).astype(visibility.dtype)
    return image, np.where(labelled[:, None], moved, 0).astype(np.float32), kept


class Augmenter:
    """Geometry, then light and camera.

    Args:
        warp: ranges of the geometry.
        probability: of each of the effects below, drawn independently.
        brightness, contrast: largest change in either direction, as a fraction of the full range.
        gamma: smallest and largest exponent.
        hue, saturation: largest shift in either direction: hue in OpenCV's units of 2 degrees, saturation in 1/255.
        blur: largest sigma of a Gaussian blur, pixels.
        motion: largest length of a motion blur, an odd number of pixels from 3. One of the two blurs is drawn.
        noise: largest standard deviation, as a fraction of the full range.
        compression: lowest JPEG quality, 1 to 100.
    """

    def __init__(
        self,
        warp: Warp,
        *,
        probability: float,
        brightness: float,
        contrast: float,
        gamma: tuple[float, float],
        hue: float,
        saturation: float,
        blur: float,
        motion: int,
        noise: float,
        compression: int,
    ) -> None:
        self.warp = warp
        p = probability
        self.effects = A.Compose(
            [
                A.RandomBrightnessContrast(brightness, contrast, p=p),
                A.RandomGamma((100 * gamma[0], 100 * gamma[1]), p=p),
                A.HueSaturationValue(hue, saturation, 0, p=p),
                A.OneOf(
                    [
                        A.GaussianBlur(blur_limit=0, sigma_limit=(0.1, blur), p=1),
                        # Symmetric about the pixel: a shifted kernel would move the corners off their labels.
                        A.MotionBlur((3, motion), allow_shifted=False, direction_range=(0, 0), p=1),
                    ],
                    p=p,
                ),
                # Drawn at half the size and enlarged: the grain of sensor noise after a video codec.
                A.GaussNoise((0, noise), noise_scale_factor=0.5, p=p),
                A.ImageCompression(quality_range=(compression, 100), p=p),
            ]
        )

    def __call__(
        self, image: np.ndarray, corners: np.ndarray, visibility: np.ndarray, seed: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Augment one example; shapes and types as in `apply_warp`. The same seed gives the same result."""
        rng = np.random.default_rng(seed)
        matrix, mirror = sample_warp(self.warp, image.shape[:2], rng)
        image, corners, visibility = apply_warp(image, corners, visibility, matrix, mirror)
        # One generator for all: `set_random_seed` would give each effect its own copy of the same draws.
        self.effects.set_random_state(rng, random.Random(seed))
        return self.effects(image=image)["image"], corners, visibility


def _translation(shift: np.ndarray) -> np.ndarray:
    return np.array([[1, 0, shift[0]], [0, 1, shift[1]], [0, 0, 1]])


def _rotation(yaw: float, pitch: float) -> np.ndarray:
    """(3, 3) rotation of a camera: to the side (about y), then up (about x)."""
    about_y = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(pitch), -np.sin(pitch)], [0, np.sin(pitch), np.cos(pitch)]])
    return about_x @ about_y
