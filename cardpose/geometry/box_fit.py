"""Fit a box in front of a pinhole camera to the corners of a packet: its pose and its thickness.

The size of a card is known, so the eight corners determine both. The focal length matters little: a wrong one moves the
camera away and hardly changes the ratio of thickness to width.

Batched, for arrays of numpy (predictions) and tensors on any device (the network); only operations that ONNX has.
Lengths are in mm, image points in pixels (x right, y down).
Axes of the box: x to the right along the short edges, y along the long edges to the upper short edge, z up from the
table; the origin is the centre of the back. Axes of the camera: x right, y down, z forward.
"""

import math
from typing import Any, Generic, NamedTuple

import numpy as np

from cardpose.common.packet import CARD_HEIGHT_MM, CARD_WIDTH_MM, CORNERS, NUM_CORNERS, Array
from cardpose.geometry.arrays import constant, namespace

MIN_CORNERS = 4
"""Four corners are eight coordinates; pose and thickness are seven parameters."""
PARAMETERS = 7  # rotation about the axes of the camera (3), translation along them (3), thickness
PHONE_FOCAL = 1.06
"""Focal length of the main camera of a phone recording 4:3, in image widths: a field of view of 50 degrees."""

_START_MM = 8.0  # thickness at the first step
_DAMPING = 1e-3  # of the diagonal of the normal equations
_MAX_TURN = 0.5  # radians in one step


def focal_length(field_of_view: float | None) -> float:
    """Focal length, in image widths, of a camera with this horizontal field of view in degrees; None: a phone's.

    >>> round(focal_length(90), 3)
    0.5
    """
    if field_of_view is None:
        return PHONE_FOCAL
    return 0.5 / math.tan(math.radians(field_of_view) / 2)


def field_of_view(focal: float) -> float:
    """Horizontal field of view in degrees of a focal length in image widths: the inverse of `focal_length`.

    >>> round(field_of_view(focal_length(50)), 3)
    50.0
    """
    return math.degrees(2 * math.atan(0.5 / focal))


class BoxFit(NamedTuple, Generic[Array]):
    """The box closest to the corners.

    Args:
        thickness: (B,) mm.
        rotation: (B, 3, 3) from the axes of the box to those of the camera.
        translation: (B, 3) centre of the back in the axes of the camera, mm.
        reprojection: (B,) root mean square distance of the corners from those of the box, pixels.
        covariance: (B, 7, 7) of rotation (rad), translation (mm) and thickness (mm) if a coordinate of a corner of
            weight w has a standard deviation of 1 / sqrt(w) pixels; multiply by the square of the true one.
        determined: (B,) bool; False for fewer than four corners, or all on one surface: the thickness is NaN.
    """

    thickness: Array
    rotation: Array
    translation: Array
    reprojection: Array
    covariance: Array
    determined: Array


def fit_box(
    corners: Array,
    weights: Array,
    focal: float | Array,
    centre: tuple[float, float],
    steps: int = 6,
    tolerance: float | Array | None = None,
) -> BoxFit[Array]:
    """Fit a box by damped least squares on the reprojected corners (Levenberg 1944, Marquardt 1963).

    The start is scaled orthography (Poelman and Kanade, A Paraperspective Factorization Method, 1997, section 2), with
    the camera above the table.

    Args:
        corners: (B, 8, 2) pixels, order of `packet.CORNERS`; ignored where the weight is 0.
        weights: (B, 8), 0 for a corner that was not found.
        focal: focal length in pixels, one or (B,).
        centre: principal point (x, y), pixels.
        tolerance: pixels, one or (B,); a corner farther from the box than this weighs less and less (Geman and McClure,
            Statistical Methods for Tomographic Image Reconstruction, 1987). None or infinity: plain least squares.
            `reprojection` and `covariance` use the given weights, whatever the distance from the box.
    """
    xp = namespace(corners)
    # Coordinates relative to the principal point, 0 for corners that were not found.
    given = weights > 0
    points = xp.where(given[..., None], corners, 0.0) - constant(centre, corners) * given[..., None]
    focals = xp.broadcast_to(constant(focal, corners), corners.shape[:1])
    model = _Model(xp, points, focals[:, None, None])
    rotation, translation, thickness = _start(model, weights)
    robust = weights
    limit = None if tolerance is None else constant(tolerance, corners).reshape(-1, 1)
    for _ in range(steps):
        residual, jacobian = model(rotation, translation, thickness)
        # Weights of Geman and McClure, up to a square: a distant corner pulls less.
        if limit is not None:
            robust = weights / (1 + xp.square(residual).sum(-1) / limit**2)
        # One Levenberg-Marquardt step, solved in scaled parameters and converted to rad and mm.
        normal = model.normal_equations(residual, jacobian, robust)
        step = -_eliminate(normal * model.damping + model.floor).swapaxes(1, 2) * model.units  # (B, 1, 7)
        rotation = model.turn(step[..., :3]) @ rotation
        translation, thickness = translation + step[..., 3:6], thickness + step[..., 6:]
    # Covariance of the parameters: the inverse of the undamped normal matrix at the solution.
    residual, jacobian = model(rotation, translation, thickness)
    normal = model.normal_equations(residual, jacobian, weights)[..., :PARAMETERS]
    identity = xp.broadcast_to(model.identity, normal.shape)
    covariance = solve(normal + 1e-9 * identity, identity) * model.units * model.units[:, None]
    error = (weights * xp.square(residual).sum(-1)).sum(-1) / xp.clip(weights.sum(-1), 1e-6, None)
    determined = _determined(given, constant(_DEPTH, corners) == 0)
    return BoxFit(
        xp.where(determined, thickness.reshape(-1), math.nan),
        rotation,
        translation.reshape(-1, 3),
        xp.sqrt(error),
        covariance,
        determined,
    )


def solve(matrix: Array, right: Array) -> Array:
    """Solve positive definite systems (B, n, n) x = (B, n, k)."""
    return _eliminate(namespace(matrix).concatenate([matrix, right], -1))


def _eliminate(rows: Array) -> Array:
    """Solve positive definite systems with their right-hand sides, (B, n, n + k) -> (B, n, k), by Gauss-Jordan.

    ONNX has no linear solver. Positive definite matrices need no pivoting, so a few plain operations suffice.
    """
    xp, n = namespace(rows), rows.shape[-2]
    diagonal = constant(np.eye(n), rows) > 0
    for i in range(n):
        # Scale row i to a 1 on the diagonal, and subtract multiples of it from all other rows.
        row, column = rows[:, i : i + 1], rows[..., i : i + 1]
        pivot = row / row[..., i : i + 1]
        rows = xp.where(diagonal[:, i : i + 1], pivot, rows - column * pivot)
    return rows[..., n:]


def _signs(words: tuple[str, str]) -> np.ndarray:
    """(8,) -1 for each corner whose name has the first word, 1 for the second."""
    return np.array([float(words[1] in name.split("_")) * 2 - 1 for name in CORNERS])


_X = _signs(("left", "right")) * CARD_WIDTH_MM / 2
_Y = _signs(("lower", "upper")) * CARD_HEIGHT_MM / 2
_DEPTH = (_signs(("face", "back")) - 1) / 2  # z in units of the thickness: 0 on the back, else -1
_FLAT = np.stack([_X, _Y, 0 * _DEPTH], -1)  # (8, 3), a box without thickness
_BY_THICKNESS = np.stack([0 * _DEPTH, 0 * _DEPTH, _DEPTH], -1)  # (8, 3), its change per mm
_UNITS = np.array([1.0, 1.0, 1.0, 100.0, 100.0, 100.0, 10.0])
"""rad, mm, mm: scales the parameters to about the same size."""


def _cross_product() -> np.ndarray:
    """(3, 3, 3): multiplied by a vector v and summed over the first axis, it is the matrix of u -> v x u."""
    array = np.zeros((3, 3, 3))
    for i, j, k in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
        array[i, j, k], array[i, k, j] = -1.0, 1.0
    return array


_CROSS = _cross_product()
# The derivative (3, 7) of a point by the parameters is linear in two vectors: the arm from the centre of the back to
# the point (rotation), and the change of the point per mm of thickness. Translation adds a constant.
_BY_ARM = np.concatenate([-_CROSS, np.zeros((3, 3, 4))], -1) * _UNITS
_BY_CHANGE = np.concatenate([np.zeros((3, 3, 6)), np.eye(3)[..., None]], -1) * _UNITS
_BY_TRANSLATION = np.concatenate([np.zeros((3, 3)), np.eye(3), np.zeros((3, 1))], -1) * _UNITS


class _Model:
    """Reprojection of a box, and its derivatives.

    Everything linear is one product with a constant: in an exported graph the number of operations sets the time.

    Args:
        xp: the namespace of the arrays.
        points: (B, 8, 2) corners relative to the principal point, pixels.
        focal: (B, 1, 1) focal length in pixels.
    """

    def __init__(self, xp: Any, points: Any, focal: Any) -> None:
        self.xp, self.points, self.focal = xp, points, focal
        self.units, self.flat, self.by_thickness = (
            constant(values, points) for values in (_UNITS, _FLAT, _BY_THICKNESS)
        )
        self.cross, self.by_arm, self.by_change = (
            constant(by.reshape(3, -1), points) for by in (_CROSS, _BY_ARM, _BY_CHANGE)
        )
        self.by_translation = constant(_BY_TRANSLATION.reshape(-1), points)
        ones = np.eye(PARAMETERS, PARAMETERS + 1)  # with a column for the right-hand side
        self.identity = constant(np.eye(PARAMETERS), points)
        self.damping, self.floor = constant(1 + _DAMPING * ones, points), constant(1e-3 * ones, points)

    def __call__(self, rotation: Array, translation: Array, thickness: Array) -> tuple[Array, Array]:
        """Residuals (B, 8, 2) in pixels and their derivatives (B, 8, 2, 7) by the parameters in `units`.

        Args:
            rotation: (B, 3, 3).
            translation: (B, 1, 3).
            thickness: (B, 1, 1).
        """
        # Corners relative to the centre of the back, in the axes of the camera.
        to_camera = rotation.swapaxes(1, 2)
        change = self.by_thickness @ to_camera  # (B, 8, 3)
        arm = self.flat @ to_camera + thickness * change
        # Pinhole projection; a depth of at least 1 mm keeps points behind the camera finite.
        seen = arm + translation
        depth = self.xp.clip(seen[..., 2:], 1.0, None)
        slope, scale = seen[..., :2] / depth, self.focal / depth
        # Derivatives of the points by the parameters, then of their projections by the quotient rule.
        by = arm @ self.by_arm + change @ self.by_change + self.by_translation  # (B, 8, 3 * 7)
        by = by.reshape(-1, NUM_CORNERS, 3, PARAMETERS)
        projected = by[:, :, :2] - slope[..., None] * by[:, :, 2:]
        return self.focal * slope - self.points, scale[..., None] * projected

    def turn(self, vector: Array) -> Array:
        """Rotations (B, 3, 3) about `vector` (B, 1, 3) by its length in radians (Rodrigues 1840), at most 0.5."""
        xp = self.xp
        angle = xp.sqrt(xp.clip(xp.square(vector).sum(-1), 1e-16, None))[..., None]
        axis = self.product_with(vector / angle)
        angle = xp.clip(angle, None, _MAX_TURN)
        return self.identity[:3, :3] + xp.sin(angle) * axis + (1 - xp.cos(angle)) * (axis @ axis)

    def product_with(self, vector: Array) -> Array:
        """Matrices (B, 3, 3) of u -> v x u for vectors v (B, 1, 3)."""
        return (vector @ self.cross).reshape(-1, 3, 3)

    def normal_equations(self, residual: Array, jacobian: Array, weights: Array) -> Array:
        """Matrix and right-hand side, (B, 7, 8): J^T W J and J^T W r.

        Args:
            residual: (B, 8, 2).
            jacobian: (B, 8, 2, 7).
            weights: (B, 8).
        """
        weighted = (jacobian * weights[..., None, None]).reshape(-1, 2 * NUM_CORNERS, PARAMETERS)
        whole = self.xp.concatenate([jacobian, residual[..., None]], -1)
        return weighted.swapaxes(1, 2) @ whole.reshape(-1, 2 * NUM_CORNERS, PARAMETERS + 1)


def _start(model: _Model, weights: Array) -> tuple[Array, Array, Array]:
    """Rotation (B, 3, 3), translation (B, 1, 3) and thickness (B, 1, 1) by scaled orthography."""
    xp, points = model.xp, model.points
    # Affine fit of box to image by ridge regression: the images of 1 mm of x, y and thickness, and of the centre.
    design = constant(np.stack([_X, _Y, _DEPTH, np.ones(NUM_CORNERS)], -1), points)  # (8, 4)
    weighted = (weights[..., None] * design).swapaxes(1, 2)
    affine = solve(weighted @ design + constant(np.diag([1e-2, 1e-2, 1e-2, 1e-4]), points), weighted @ points)
    # Scale in pixels per mm: the largest singular value of the images of x and y, the one that is not foreshortened.
    along, across = affine[:, 0], affine[:, 1]  # (B, 2)
    a, b, c = xp.square(along).sum(-1), xp.square(across).sum(-1), (along * across).sum(-1)
    scale2 = xp.clip((a + b + xp.sqrt(xp.square(a - b) + 4 * xp.square(c))) / 2, 1e-8, None)
    scale = xp.sqrt(scale2)
    # Depth components of the axes: they complete the two columns to unit vectors at a right angle.
    first = xp.sqrt(xp.clip(1 - a / scale2, 0.0, None))
    second = xp.sqrt(xp.clip(1 - b / scale2, 0.0, None)) * xp.where(c > 0, -1.0, 1.0)
    along, across = along / scale[:, None], across / scale[:, None]
    # Orthography leaves two poses, mirrored in the image plane: take the one whose z axis points up in the image.
    up = first * across[:, 0] - second * along[:, 0]
    flip = xp.where(up > 0, -1.0, 1.0)
    right = xp.stack([along[:, 0], along[:, 1], flip * first], -1)
    away = xp.stack([across[:, 0], across[:, 1], flip * second], -1)
    normal = (model.product_with(right[:, None]) @ away[..., None])[..., 0]
    rotation = xp.stack([right, away, normal], -1)
    # The distance at which the pinhole camera has this scale.
    distance = model.focal / scale[:, None, None]
    translation = xp.concatenate([affine[:, 3:] / scale[:, None, None], distance], -1)
    return rotation, translation, xp.full_like(distance, _START_MM)


def _determined(given: Array, back: Array) -> Array:
    """Whether the given corners (B, 8) determine the thickness, (B,); `back` (8,) is True for corners of the back."""
    return (given.sum(-1) >= MIN_CORNERS) & (given & back).any(-1) & (given & ~back).any(-1)


def project(box: BoxFit[Array], focal: float | Array, centre: tuple[float, float]) -> Array:
    """Corners of a fitted box in the image, hidden ones too.

    Args:
        box: of `fit_box`.
        focal, centre: that it was fitted with; focal may be (B, 1, 1).

    Returns:
        (B, 8, 2) pixels, order of `packet.CORNERS`; NaN where the box is not determined.
    """
    flat, by_thickness = (constant(values, box.thickness) for values in (_FLAT, _BY_THICKNESS))
    points = (flat + by_thickness * box.thickness[:, None, None]) @ box.rotation.swapaxes(1, 2)
    points = points + box.translation[:, None]  # (B, 8, 3) in the axes of the camera
    depth = namespace(points).clip(points[..., 2:], 1.0, None)
    return focal * points[..., :2] / depth + constant(centre, points)
