"""The packet as a box before a pinhole camera: from its corners in the image to its pose and its thickness.

A card's size is known, so eight corners say where the camera stands and how thick the packet is, whatever the focal
length: a wrong one moves the camera away, and hardly changes how thick the packet looks beside its width.

Batched torch, any device, operations that ONNX has. Lengths are in mm, image points in pixels (x right, y down). The
box's own axes: x along the short edges to the right, y along the long edges to the upper one, z up from the table;
the origin is the middle of the back. The camera's: x right, y down, z forward.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from cardpose.common.packet import CARD_HEIGHT_MM, CARD_WIDTH_MM, CORNERS

MIN_CORNERS = 4
"""Eight coordinates; pose and thickness are seven numbers."""
PARAMETERS = 7
"""Turn about the camera's axes (3), move along them (3), thickness."""
PHONE_FOCAL = 1.06
"""Focal length of a phone's main camera filming 4:3, in image widths: 50 degrees."""

_START_MM = 8.0
_DAMPING = 1e-3
_MAX_TURN = 0.5  # radians in one step


def focal_length(field_of_view: float) -> float:
    """Focal length, in image widths, of a camera that sees so many degrees across its image's width.

    >>> round(focal_length(90), 3)
    0.5
    """
    return 0.5 / math.tan(math.radians(field_of_view) / 2)


def field_of_view(focal: float) -> float:
    """The way back of `focal_length`.

    >>> round(field_of_view(focal_length(50)), 3)
    50.0
    """
    return math.degrees(2 * math.atan(0.5 / focal))


class BoxFit(NamedTuple):
    """The box that lies closest to the corners.

    Args:
        thickness: (B,) mm.
        rotation: (B, 3, 3) from the box's axes to the camera's.
        translation: (B, 3) the middle of the back in the camera's axes, mm.
        reprojection: (B,) root mean square distance of the corners from the box's, pixels.
        covariance: (B, 7, 7) of turn (rad), move (mm) and thickness (mm) where each coordinate of a corner of weight w
            is off by 1 / sqrt(w) pixels (standard deviation); the square of the true one is a factor to it.
        determined: (B,) bool. Where it is False the corners were fewer than four, or all on one surface, and the
            thickness is NaN.
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
    tolerance: float | None = None,
) -> BoxFit:
    """Fit the box by damped least squares on the reprojected corners (Levenberg 1944, Marquardt 1963).

    It starts from scaled orthography (Poelman and Kanade, A Paraperspective Factorization Method, 1997, section 2),
    with the camera above the table.

    Args:
        corners: (B, 8, 2) pixels, order of `packet.CORNERS`; the values where the weight is 0 are ignored.
        weights: (B, 8), 0 for a corner that was not found; others count by their weight.
        focal: focal length in pixels, for all or (B,).
        centre: principal point (x, y), pixels.
        steps: of the iteration.
        tolerance: pixels; a corner that is farther from the box than this counts less and less (Geman and McClure,
            Statistical Methods for Tomographic Image Reconstruction, 1987). None trusts all alike. `reprojection` and
            `covariance` are of all corners by their weights, however far from the box.

    >>> import math
    >>> flat = torch.tensor([[[0.0, 0.0]] * 8])
    >>> math.isnan(fit_box(flat, torch.zeros(1, 8), 680.0, (0.0, 0.0)).thickness)
    True
    """
    given = weights > 0
    points = torch.where(given[..., None], corners, 0.0) - corners.new_tensor(centre) * given[..., None]
    focal = torch.as_tensor(focal, dtype=corners.dtype, device=corners.device).expand(corners.shape[0])
    model = _Model(points, focal[:, None, None])
    rotation, translation, thickness = _start(model, weights)
    trust = weights
    for _ in range(steps):
        residual, jacobian = model(rotation, translation, thickness)
        if tolerance is not None:
            trust = weights / (1 + residual.square().sum(-1) / tolerance**2)
        normal = _normal_equations(residual, jacobian, trust)
        step = -_eliminate(normal * model.damping + model.floor).transpose(1, 2) * model.units
        turn, move, thicker = step.split([3, 3, 1], -1)  # (B, 1, 3), (B, 1, 3), (B, 1, 1)
        rotation = model.turn(turn) @ rotation
        translation, thickness = translation + move, thickness + thicker
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
    """Solve positive definite systems beside their right sides, (B, n, n + k): Gauss and Jordan, column by column.

    ONNX has no operator for it, and without pivots it is a handful of those that it has.
    """
    n = rows.shape[-2]
    diagonal = torch.eye(n, dtype=torch.bool, device=rows.device)
    for i in range(n):
        row, column = rows[:, i : i + 1], rows[..., i : i + 1]
        pivot = row / row[..., i : i + 1]
        rows = torch.where(diagonal[:, i : i + 1], pivot, rows - column * pivot)
    return rows[..., n:]


def _sides(words: tuple[str, str]) -> list[float]:
    """-1 where a corner's name has the first word, 1 where it has the second."""
    return [float(words[1] in name.split("_")) * 2 - 1 for name in CORNERS]


_X = [side * CARD_WIDTH_MM / 2 for side in _sides(("left", "right"))]
_Y = [side * CARD_HEIGHT_MM / 2 for side in _sides(("lower", "upper"))]
_DEPTH = [(side - 1) / 2 for side in _sides(("face", "back"))]  # 0 on the back, -1 thickness below it
_UNITS = [1.0, 1.0, 1.0, 100.0, 100.0, 100.0, 10.0]  # parameters of about the same size


def _crossing() -> Tensor:
    """(3, 3, 3): times a vector v, summed over the first axis, it is the matrix of u -> u x v."""
    crossing = torch.zeros(3, 3, 3)
    for i, j, k in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
        crossing[i, j, k], crossing[i, k, j] = 1.0, -1.0
    return crossing


_CROSSING = _crossing()
# What each coordinate of an arm, and of its change by the thickness, is in the derivatives of a place (3) by the
# parameters (7); and the part that is the same everywhere.
_BY_ARM = torch.cat([_CROSSING, torch.zeros(3, 3, 4)], -1)
_BY_CHANGE = torch.cat([torch.zeros(3, 3, 6), torch.eye(3)[..., None]], -1)
_BY_ALL = torch.cat([torch.zeros(3, 3), torch.eye(3), torch.zeros(3, 1)], -1)


class _Model:
    """Reprojection of the box, and its derivatives.

    All that is linear is a product with a constant: exported, each operation costs more than what it computes.
    """

    def __init__(self, points: Tensor, focal: Tensor) -> None:
        self.points, self.focal = points, focal  # (B, 8, 2), (B, 1, 1)
        x, y, depth, self.units = (points.new_tensor(values) for values in (_X, _Y, _DEPTH, _UNITS))
        self.back = torch.stack([x, y, 0 * depth], -1)  # (8, 3), the box without thickness
        self.by_thickness = torch.stack([0 * depth, 0 * depth, depth], -1)
        self.crossing = _CROSSING.to(points).flatten(1)  # (3, 9)
        self.by_arm, self.by_change = (
            (by.to(points) * self.units).flatten(1) for by in (_BY_ARM, _BY_CHANGE)
        )
        self.by_all = (_BY_ALL.to(points) * self.units).flatten()
        self.identity = torch.eye(PARAMETERS, dtype=points.dtype, device=points.device)
        ones = F.pad(self.identity, (0, 1))  # (7, 8), beside the right side
        self.damping, self.floor = 1 + _DAMPING * ones, 1e-3 * ones

    def __call__(self, rotation: Tensor, translation: Tensor, thickness: Tensor) -> tuple[Tensor, Tensor]:
        """Residuals (B, 8, 2) in pixels and their derivatives (B, 8, 2, 7) by the parameters in `units`.

        Args:
            rotation: (B, 3, 3).
            translation: (B, 1, 3).
            thickness: (B, 1, 1).
        """
        to_camera = rotation.transpose(1, 2)
        change = self.by_thickness @ to_camera  # (B, 8, 3)
        arm = self.back @ to_camera + thickness * change  # from the back's middle, in the camera's axes
        across, depth = (arm + translation).split([2, 1], -1)
        depth = depth.clamp_min(1.0)
        slope, scale = across / depth, self.focal / depth
        by = arm @ self.by_arm + change @ self.by_change + self.by_all  # (B, 8, 3 * 7)
        by_across, by_depth = by.split([2 * PARAMETERS, PARAMETERS], -1)
        turned = by_across.unflatten(-1, (2, PARAMETERS)) - slope[..., None] * by_depth[..., None, :]
        return self.focal * slope - self.points, scale[..., None] * turned

    def turn(self, by: Tensor) -> Tensor:
        """Rotations (B, 3, 3) about (B, 1, 3) by its length in radians (Rodrigues 1840), at most half a radian."""
        angle = by.square().sum(-1, keepdim=True).clamp_min(1e-16).sqrt()
        crossed = -(by / angle @ self.crossing).unflatten(-1, (3, 3)).squeeze(1)
        angle = angle.clamp_max(_MAX_TURN)
        return self.identity[:3, :3] + angle.sin() * crossed + (1 - angle.cos()) * (crossed @ crossed)


def _normal_equations(residual: Tensor, jacobian: Tensor, weights: Tensor) -> Tensor:
    """(B, 7, 8): matrix and right side."""
    weighted = (jacobian * weights[..., None, None]).flatten(1, 2)
    return weighted.transpose(1, 2) @ torch.cat([jacobian, residual[..., None]], -1).flatten(1, 2)


def _start(model: _Model, weights: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Rotation, translation and thickness from an affine fit of box to image: scaled orthography."""
    points = model.points
    design = F.pad(model.back + model.by_thickness, (0, 1), value=1.0)  # (8, 4)
    weighted = weights[..., None] * design
    normal = weighted.transpose(1, 2) @ design + torch.diag(points.new_tensor([1e-2, 1e-2, 1e-2, 1e-4]))
    # (B, 4, 2): the images of a millimetre of x, y and thickness, and of the middle.
    affine = solve(normal, weighted.transpose(1, 2) @ points)
    along, across = affine[:, 0], affine[:, 1]
    a, b, c = along.square().sum(-1), across.square().sum(-1), (along * across).sum(-1)
    scale2 = ((a + b + ((a - b).square() + 4 * c.square()).sqrt()) / 2).clamp_min(1e-8)
    scale = scale2.sqrt()  # the largest singular value
    first = (1 - a / scale2).clamp_min(0.0).sqrt()
    second = (1 - b / scale2).clamp_min(0.0).sqrt() * torch.where(c > 0, -1.0, 1.0)
    columns = torch.stack([along, across], -1) / scale[:, None, None]  # (B, 2, 2)
    # Of the two poses, mirrored in the image plane, the one whose up is up in the image.
    up = first * columns[:, 0, 1] - second * columns[:, 0, 0]
    flip = torch.where(up > 0, -1.0, 1.0)
    right = torch.stack([columns[:, 0, 0], columns[:, 1, 0], flip * first], -1)
    away = torch.stack([columns[:, 0, 1], columns[:, 1, 1], flip * second], -1)
    rotation = torch.stack([right, away, torch.linalg.cross(right, away)], -1)
    distance = model.focal / scale[:, None, None]
    translation = torch.cat([affine[:, 3:] / scale[:, None, None], distance], -1)
    return rotation, translation, torch.full_like(distance, _START_MM)


def _determined(given: Tensor, back: Tensor) -> Tensor:
    """(B,) whether the corners that there are (B, 8) fix the thickness; `back` (8,) says which lie on the back."""
    return (given.sum(-1) >= MIN_CORNERS) & (given & back).any(-1) & (given & ~back).any(-1)


def project(box: BoxFit, focal: float, centre: tuple[float, float]) -> Tensor:
    """Where the corners of a fitted box lie in the image, those included that cannot be seen.

    Args:
        box: as `fit_box` returns it.
        focal, centre: as it was fitted with.

    Returns:
        (B, 8, 2) pixels, order of `packet.CORNERS`; NaN where the box is not determined.
    """
    x, y, depth = (box.thickness.new_tensor(values) for values in (_X, _Y, _DEPTH))
    z = depth * box.thickness[:, None]  # (B, 8)
    place = torch.stack([x.expand_as(z), y.expand_as(z), z], -1) @ box.rotation.transpose(1, 2)
    place = place + box.translation[:, None]  # (B, 8, 3) in the camera's axes
    return focal * place[..., :2] / place[..., 2:].clamp_min(1.0) + place.new_tensor(centre)
