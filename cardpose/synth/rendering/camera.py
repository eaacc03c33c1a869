"""The pinhole camera: projection of world points, and homographies of planes."""

from dataclasses import dataclass, field
from functools import cached_property

import cv2
import numpy as np


@dataclass(frozen=True)
class Camera:
    """A pinhole camera without lens distortion, with the principal point at the image centre.

    Args:
        rotation: (3, 3) world to camera; camera axes x right, y down, z forward (OpenCV's).
        position: (3,) centre of projection in the world, mm.
        focal: focal length in pixels.
        width, height: image size in pixels.
        rolling: (2,) displacement of the image in pixels from the exposure of the first row to that of the last.
    """

    rotation: np.ndarray
    position: np.ndarray
    focal: float
    width: int
    height: int
    rolling: np.ndarray = field(default_factory=lambda: np.zeros(2))

    @property
    def intrinsics(self) -> np.ndarray:
        """(3, 3) matrix K; the principal point is ((w - 1) / 2, (h - 1) / 2)."""
        centre = (self.width - 1) / 2, (self.height - 1) / 2
        return np.array([[self.focal, 0, centre[0]], [0, self.focal, centre[1]], [0, 0, 1.0]])

    @cached_property
    def matrix(self) -> np.ndarray:
        """(3, 3) intrinsics followed by the rolling shutter, which exposes the rows one after another.

        For a constant motion this is an affine map: pixel (x, y) at mid-exposure is recorded in row
        v = y + rolling_y (v / (h - 1) - 1/2), at x + rolling_x (v / (h - 1) - 1/2).
        """
        x, y = self.rolling
        rows = self.height - 1
        stretch = 1 / (1 - y / rows)
        row = np.array([0, stretch, -stretch * y / 2])
        column = np.array([1, 0, -x / 2]) + x / rows * row
        return np.stack([column, row, [0, 0, 1]]) @ self.intrinsics

    def project(self, points: np.ndarray) -> np.ndarray:
        """World points (..., 3) in mm, all in front of the camera -> image points (..., 2) in pixels."""
        homogeneous = (points - self.position) @ (self.matrix @ self.rotation).T
        return homogeneous[..., :2] / homogeneous[..., 2:]

    def plane(self, z: float) -> np.ndarray:
        """(3, 3) homography from (x, y, 1) in mm on the horizontal plane at height z to the image.

        The third component of its result is the depth along the optical axis in mm.
        """
        return self.surface(np.array([[1, 0, 0], [0, 1, 0], [0, 0, z]]))

    def surface(self, to_world: np.ndarray) -> np.ndarray:
        """(3, 3) homography to the image of a plane that `to_world` (3, 3) maps from (x, y, 1) to the world, mm."""
        shift = np.zeros((3, 3))
        shift[:, 2] = self.position
        return self.matrix @ self.rotation @ (to_world - shift)


def look_at(
    position: np.ndarray, target: np.ndarray, aim: np.ndarray, roll: float, focal: float
) -> np.ndarray:
    """Rotation (3, 3), world to camera, that projects `target` to `aim` (2,) pixels off the image centre.

    `roll` in radians rotates the image around the optical axis, clockwise if positive.
    """
    # A level camera that looks straight at the target.
    forward = (target - position) / np.linalg.norm(target - position)
    x, y, z = forward
    level_length = np.hypot(x, y)
    right = np.array([y, -x, 0]) / level_length
    down = np.array([x * z, y * z, -(level_length**2)]) / level_length  # forward cross right
    level = np.stack([right, down, forward])
    # Turned so that the target moves to the aim.
    axis = np.array([-aim[1], aim[0], 0.0])
    length = float(np.linalg.norm(axis))
    turn = cv2.Rodrigues(axis / max(length, 1e-12) * np.arctan2(length, focal))[0]
    return cv2.Rodrigues(np.array([0.0, 0.0, roll]))[0] @ turn @ level


def scaling(scale_x: float, scale_y: float, left: int = 0, top: int = 0) -> np.ndarray:
    """(3, 3) map from image pixels to those of a crop that starts at (left, top), resized by the scales.

    >>> scaling(2, 2) @ [0, 0, 1]  # the centre of a pixel lies between the two that it becomes
    array([0.5, 0.5, 1. ])
    """
    x, y = (0.5 - left) * scale_x - 0.5, (0.5 - top) * scale_y - 0.5
    return np.array([[scale_x, 0, x], [0, scale_y, y], [0, 0, 1.0]])
