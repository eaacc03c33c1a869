"""Fit a box in front of a pinhole camera to the corners of a packet: its pose and its thickness.

The size of a card is known, so the eight corners determine both. The focal length matters little: a wrong one moves the
camera away and hardly changes the ratio of thickness to width.

Batched torch, any device, only operations that ONNX has. Lengths are in mm, image points in pixels (x right, y down).
Axes of the box: x to the right along the short edges, y along the long edges to the upper short edge, z up from the
table; the origin is the centre of the back. Axes of the camera: x right, y down, z forward.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from cardpose.common.packet import CARD_HEIGHT_MM, CARD_WIDTH_MM, CORNERS

MIN_CORNERS = 4
"""Four corners are eight coordinates; pose and thickness are seven parameters."""
PARAMETERS = 7  # rotation about the axes of the camera (3), translation along them (3), thickness
PHONE_FOCAL = 1.06
"""Focal length of the main camera of a phone recording 4:3, in image widths: a field of view of 50 degrees."""

_START_MM = 8.0  # thickness at the first step
_DAMPING = 1e-3  # of the diagonal of the normal equations
_MAX_TURN = 0.5  # radians in one step


def focal_length(field_of_view: float) -> float:
    """Focal length, in image widths, of a camera with this horizontal field of view in degrees.

    >>> round(focal_length(90), 3)
    0.5
    """
    return 0.5 / math.tan(math.radians(field_of_view) / 2)


def field_of_view(focal: float) -> float:
    """Horizontal field of view in degrees of a focal length in image widths: the inverse of `focal_length`.

    >>> round(field_of_view(focal_length(50)), 3)
    50.0
    """
    return math.degrees(2 * math.atan(0.5 / focal))


class BoxFit(NamedTuple):
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

    thickness: Tensor
    rotation: Tensor
    translation: Tensor
    reprojection: Tensor
    covariance: Tensor
    determined: Tensor


def fit_box(
    corners: Tensor,
    weights: Tensor,
    focal: float | Tensor,
    centre: tuple[float, float],
    steps: int = 6,
    tolerance: float | Tensor | None = None,
) -> BoxFit:
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
    # Coordinates relative to the principal point, 0 for corners that were not found.
    given = weights > 0
    points = torch.where(given[..., None], corners, 0.0) - corners.new_tensor(centre) * given[..., None]
    focal = torch.as_tensor(focal, dtype=corners.dtype, device=corners.device).expand(corners.shape[0])
    model = _Model(points, focal[:, None, None])
    rotation, translation, thickness = _start(model, weights)
    robust = weights
    limit = tolerance[:, None] if isinstance(tolerance, Tensor) else tolerance
    for _ in range(steps):
        residual, jacobian = model(rotation, translation, thickness)
        # Weights of Geman and McClure, up to a square: a distant corner pulls less.
        if limit is not None:
            robust = weights / (1 + residual.square().sum(-1) / limit**2)
        # One Levenberg-Marquardt step, solved in scaled parameters and converted to rad and mm.
        normal = _normal_equations(residual, jacobian, robust)
        step = -_eliminate(normal * model.damping + model.floor).transpose(1, 2) * model.units
        turn, move, thicker = step.split([3, 3, 1], -1)  # (B, 1, 3), (B, 1, 3), (B, 1, 1)
        rotation = model.turn(turn) @ rotation
        translation, thickness = translation + move, thickness + thicker
    # Covariance of the parameters: the inverse of the undamped normal matrix at the solution.
    residual, jacobian = model(rotation, translation, thickness)
    normal = _normal_equations(residual, jacobian, weights)[..., :PARAMETERS]
    identity = model.identity.expand_as(normal)
    covariance = solve(normal + 1e-9 * identity, identity) * model.units * model.units[:, None]
    error = (weights * residual.square().sum(-1)).sum(-1) / weights.sum(-1).clamp_min(1e-6)
    determined = _determined(given, model.by_thickness[:, 2] == 0)
    return BoxFit(
        torch.where(determined, thickness.flatten(), torch.nan),
        rotation,
        translation.flatten(1),
        error.sqrt(),
        covariance,
        determined,
    )


def solve(matrix: Tensor, right: Tensor) -> Tensor:
    """Solve positive definite systems (B, n, n) x = (B, n, k)."""
    return _eliminate(torch.cat([matrix, right], -1))


def _eliminate(rows: Tensor) -> Tensor:
    """Solve positive definite systems with their right-hand sides, (B, n, n + k) -> (B, n, k), by Gauss-Jordan.

    ONNX has no linear solver. Positive definite matrices need no pivoting, so a few plain operations suffice.
    """
    n = rows.shape[-2]
    diagonal = torch.eye(n, dtype=torch.bool, device=rows.device)
    for i in range(n):
        # Scale row i to a 1 on the diagonal, and subtract multiples of it from all other rows.
        row, column = rows[:, i : i + 1], rows[..., i : i + 1]
        pivot = row / row[..., i : i + 1]
        rows = torch.where(diagonal[:, i : i + 1], pivot, rows - column * pivot)
    return rows[..., n:]


def _signs(words: tuple[str, str]) -> list[float]:
    """-1 for each corner whose name has the first word, 1 for the second."""
    return [float(words[1] in name.split("_")) * 2 - 1 for name in CORNERS]


_X = [sign * CARD_WIDTH_MM / 2 for sign in _signs(("left", "right"))]
_Y = [sign * CARD_HEIGHT_MM / 2 for sign in _signs(("lower", "upper"))]
_DEPTH = [
    (sign - 1) / 2 for sign in _signs(("face", "back"))
]  # z in units of the thickness: 0 on the back, else -1
_UNITS = [
    1.0,
    1.0,
    1.0,
    100.0,
    100.0,
    100.0,
    10.0,
]  # rad, mm, mm: scales the parameters to about the same size


def _cross_product() -> Tensor:
    """(3, 3, 3): multiplied by a vector v and summed over the first axis, it is the matrix of u -> u x v."""
    tensor = torch.zeros(3, 3, 3)
    for i, j, k in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
        tensor[i, j, k], tensor[i, k, j] = 1.0, -1.0
    return tensor


_CROSS = _cross_product()
# The derivative (3, 7) of a point by the parameters is linear in two vectors: the arm from the centre of the back to
# the point (rotation), and the change of the point per mm of thickness. Translation adds a constant.
_BY_ARM = torch.cat([_CROSS, torch.zeros(3, 3, 4)], -1)
_BY_CHANGE = torch.cat([torch.zeros(3, 3, 6), torch.eye(3)[..., None]], -1)
_BY_TRANSLATION = torch.cat([torch.zeros(3, 3), torch.eye(3), torch.zeros(3, 1)], -1)


class _Model:
    """Reprojection of a box, and its derivatives.

    Everything linear is one product with a constant: in an exported graph the number of operations sets the time.

    Args:
        points: (B, 8, 2) corners relative to the principal point, pixels.
        focal: (B, 1, 1) focal length in pixels.
    """

    def __init__(self, points: Tensor, focal: Tensor) -> None:
        self.points, self.focal = points, focal  # (B, 8, 2), (B, 1, 1)
        x, y, depth, self.units = (points.new_tensor(values) for values in (_X, _Y, _DEPTH, _UNITS))
        self.flat = torch.stack([x, y, 0 * depth], -1)  # (8, 3), a box without thickness
        self.by_thickness = torch.stack([0 * depth, 0 * depth, depth], -1)  # (8, 3), its change per mm
        self.cross = _CROSS.to(points).flatten(1)  # (3, 9)
        self.by_arm, self.by_change = (
            (by.to(points) * self.units).flatten(1) for by in (_BY_ARM, _BY_CHANGE)
        )
        self.by_translation = (_BY_TRANSLATION.to(points) * self.units).flatten()
        self.identity = torch.eye(PARAMETERS, dtype=points.dtype, device=points.device)
        ones = F.pad(self.identity, (0, 1))  # (7, 8), with a column for the right-hand side
        self.damping, self.floor = 1 + _DAMPING * ones, 1e-3 * ones

    def __call__(self, rotation: Tensor, translation: Tensor, thickness: Tensor) -> tuple[Tensor, Tensor]:
        """Residuals (B, 8, 2) in pixels and their derivatives (B, 8, 2, 7) by the parameters in `units`.

        Args:
            rotation: (B, 3, 3).
            translation: (B, 1, 3).
            thickness: (B, 1, 1).
        """
        # Corners relative to the centre of the back, in the axes of the camera.
        to_camera = rotation.transpose(1, 2)
        change = self.by_thickness @ to_camera  # (B, 8, 3)
        arm = self.flat @ to_camera + thickness * change
        # Pinhole projection; a depth of at least 1 mm keeps points behind the camera finite.
        across, depth = (arm + translation).split([2, 1], -1)
        depth = depth.clamp_min(1.0)
        slope, scale = across / depth, self.focal / depth
        # Derivatives of the points by the parameters, then of their projections by the quotient rule.
        by = arm @ self.by_arm + change @ self.by_change + self.by_translation  # (B, 8, 3 * 7)
        by_across, by_depth = by.split([2 * PARAMETERS, PARAMETERS], -1)
        projected = by_across.unflatten(-1, (2, PARAMETERS)) - slope[..., None] * by_depth[..., None, :]
        return self.focal * slope - self.points, scale[..., None] * projected

    def turn(self, vector: Tensor) -> Tensor:
        """Rotations (B, 3, 3) about `vector` (B, 1, 3) by its length in radians (Rodrigues 1840), at most 0.5."""
        angle = vector.square().sum(-1, keepdim=True).clamp_min(1e-16).sqrt()
        axis = -(vector / angle @ self.cross).unflatten(-1, (3, 3)).squeeze(1)  # (B, 3, 3): u -> axis x u
        angle = angle.clamp_max(_MAX_TURN)
        return self.identity[:3, :3] + angle.sin() * axis + (1 - angle.cos()) * (axis @ axis)


def _normal_equations(residual: Tensor, jacobian: Tensor, weights: Tensor) -> Tensor:
    """Matrix and right-hand side, (B, 7, 8): J^T W J and J^T W r.

    Args:
        residual: (B, 8, 2).
        jacobian: (B, 8, 2, 7).
        weights: (B, 8).
    """
    weighted = (jacobian * weights[..., None, None]).flatten(1, 2)
    return weighted.transpose(1, 2) @ torch.cat([jacobian, residual[..., None]], -1).flatten(1, 2)


def _start(model: _Model, weights: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Rotation (B, 3, 3), translation (B, 1, 3) and thickness (B, 1, 1) by scaled orthography."""
    # Affine fit of box to image by ridge regression: the images of 1 mm of x, y and thickness, and of the centre.
    points = model.points
    design = F.pad(model.flat + model.by_thickness, (0, 1), value=1.0)  # (8, 4)
    weighted = weights[..., None] * design
    normal = weighted.transpose(1, 2) @ design + torch.diag(points.new_tensor([1e-2, 1e-2, 1e-2, 1e-4]))
    affine = solve(normal, weighted.transpose(1, 2) @ points)  # (B, 4, 2)
    # Scale in pixels per mm: the largest singular value of the images of x and y, the one that is not foreshortened.
    along, across = affine[:, 0], affine[:, 1]
    a, b, c = along.square().sum(-1), across.square().sum(-1), (along * across).sum(-1)
    scale2 = ((a + b + ((a - b).square() + 4 * c.square()).sqrt()) / 2).clamp_min(1e-8)
    scale = scale2.sqrt()
    # Depth components of the axes: they complete the two columns to unit vectors at a right angle.
    first = (1 - a / scale2).clamp_min(0.0).sqrt()
    second = (1 - b / scale2).clamp_min(0.0).sqrt() * torch.where(c > 0, -1.0, 1.0)
    columns = torch.stack([along, across], -1) / scale[:, None, None]  # (B, 2, 2)
    # Orthography leaves two poses, mirrored in the image plane: take the one whose z axis points up in the image.
    up = first * columns[:, 0, 1] - second * columns[:, 0, 0]
    flip = torch.where(up > 0, -1.0, 1.0)
    right = torch.stack([columns[:, 0, 0], columns[:, 1, 0], flip * first], -1)
    away = torch.stack([columns[:, 0, 1], columns[:, 1, 1], flip * second], -1)
    rotation = torch.stack([right, away, torch.linalg.cross(right, away)], -1)
    # The distance at which the pinhole camera has this scale.
    distance = model.focal / scale[:, None, None]
    translation = torch.cat([affine[:, 3:] / scale[:, None, None], distance], -1)
    return rotation, translation, torch.full_like(distance, _START_MM)


def _determined(given: Tensor, back: Tensor) -> Tensor:
    """Whether the given corners (B, 8) determine the thickness, (B,); `back` (8,) is True for corners of the back."""
    return (given.sum(-1) >= MIN_CORNERS) & (given & back).any(-1) & (given & ~back).any(-1)


def project(box: BoxFit, focal: float | Tensor, centre: tuple[float, float]) -> Tensor:
    """Corners of a fitted box in the image, hidden ones too.

    Args:
        box: of `fit_box`.
        focal, centre: that it was fitted with; focal may be (B, 1, 1).

    Returns:
        (B, 8, 2) pixels, order of `packet.CORNERS`; NaN where the box is not determined.
    """
    x, y, depth = (box.thickness.new_tensor(values) for values in (_X, _Y, _DEPTH))
    z = depth * box.thickness[:, None]  # (B, 8)
    points = torch.stack([x.expand_as(z), y.expand_as(z), z], -1) @ box.rotation.transpose(1, 2)
    points = points + box.translation[:, None]  # (B, 8, 3) in the axes of the camera
    return focal * points[..., :2] / points[..., 2:].clamp_min(1.0) + points.new_tensor(centre)
