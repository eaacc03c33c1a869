"""The packet as a box before a pinhole camera: from its corners in the image to its pose and its thickness.

A card's size is known, so eight corners say where the camera stands and how thick the packet is, whatever the focal
length: a wrong one moves the camera away, and hardly changes how thick the packet looks beside its width.

Batched torch, any device, operations that ONNX has. Lengths are in mm, image points in pixels (x right, y down). The
box's own axes: x along the short edges to the right, y along the long edges to the upper one, z up from the table;
the origin is the middle of the back. The camera's: x right, y down, z forward.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from cardpose.packet import CARD_HEIGHT_MM, CARD_WIDTH_MM, CORNERS

MIN_CORNERS = 4
"""Eight coordinates; pose and thickness are seven numbers."""
PARAMETERS = 7
"""Turn about the camera's axes (3), move along them (3), thickness."""
PHONE_FOCAL = 1.06
"""Focal length of a phone's main camera filming 4:3, in image widths: 50 degrees."""

_START_MM = 8.0
_DAMPING = 1e-3
_MAX_TURN = 0.5  # radians in one step


class BoxFit(NamedTuple):
    """The box that lies closest to the corners.

    Args:
        thickness: (B,) mm.
        rotation: (B, 3, 3) from the box's axes to the camera's.
        translation: (B, 3) the middle of the back in the camera's axes, mm.
        reprojection: (B,) root mean square distance of the corners from the box's, pixels.
        covariance: (B, 7, 7) of turn (rad), move (mm) and thickness (mm) where each of a corner's coordinates is
            off by one pixel (standard deviation); the square of the true one is a factor to it.
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
            Statistical Methods for Tomographic Image Reconstruction, 1987). None trusts all alike.

    >>> import math
    >>> flat = torch.tensor([[[0.0, 0.0]] * 8])
    >>> math.isnan(fit_box(flat, torch.zeros(1, 8), 680.0, (0.0, 0.0)).thickness)
    True
    """
    given = weights > 0
    points = torch.where(given[..., None], corners, 0.0) - corners.new_tensor(centre) * given[..., None]
    focal = torch.as_tensor(focal, dtype=corners.dtype, device=corners.device).expand(len(corners))[:, None]
    model = _Model(points, focal)
    rotation, translation, thickness = _start(model, weights)
    trust = weights
    for _ in range(steps):
        residual, jacobian = model(rotation, translation, thickness)
        if tolerance is not None:
            trust = weights / (1 + residual.square().sum(-1) / tolerance**2)
        normal, gradient = _normal_equations(residual, jacobian, trust)
        step = -solve(_damped(normal), gradient[..., None])[..., 0] * model.units
        rotation = _turn(step[:, :3]) @ rotation
        translation, thickness = translation + step[:, 3:6], thickness + step[:, 6]
    residual, jacobian = model(rotation, translation, thickness)
    normal, _ = _normal_equations(residual, jacobian, weights)
    identity = torch.eye(PARAMETERS, dtype=points.dtype, device=points.device).expand_as(normal)
    covariance = solve(normal + 1e-9 * identity, identity) * model.units * model.units[:, None]
    error = (weights * residual.square().sum(-1)).sum(-1) / weights.sum(-1).clamp_min(1e-6)
    determined = _determined(given, model.depth == 0)
    return BoxFit(
        torch.where(determined, thickness, torch.nan),
        rotation,
        translation,
        error.sqrt(),
        covariance,
        determined,
    )


def solve(matrix: Tensor, right: Tensor) -> Tensor:
    """Solve positive definite systems (B, n, n) x = (B, n, k) by Gauss and Jordan's elimination, column by column.

    ONNX has no operator for it, and without pivots it is a handful of those that it has.
    """
    n = matrix.shape[-1]
    rows = torch.cat([matrix, right], -1)
    for i in range(n):
        pivot = rows[:, i : i + 1] / rows[:, i : i + 1, i : i + 1]
        others = rows - rows[:, :, i : i + 1] * pivot
        rows = torch.cat([others[:, :i], pivot, others[:, i + 1 :]], 1)
    return rows[..., n:]


def _sides(words: tuple[str, str]) -> list[float]:
    """-1 where a corner's name has the first word, 1 where it has the second."""
    return [float(words[1] in name.split("_")) * 2 - 1 for name in CORNERS]


_X = [side * CARD_WIDTH_MM / 2 for side in _sides(("left", "right"))]
_Y = [side * CARD_HEIGHT_MM / 2 for side in _sides(("lower", "upper"))]
_DEPTH = [(side - 1) / 2 for side in _sides(("face", "back"))]  # 0 on the back, -1 thickness below it


class _Model:
    """Reprojection of the box, and its derivatives."""

    def __init__(self, points: Tensor, focal: Tensor) -> None:
        self.points, self.focal = points, focal
        self.x, self.y, self.depth = (points.new_tensor(values) for values in (_X, _Y, _DEPTH))
        self.units = points.new_tensor([1, 1, 1, 100, 100, 100, 10])  # parameters of about the same size

    def __call__(self, rotation: Tensor, translation: Tensor, thickness: Tensor) -> tuple[Tensor, Tensor]:
        """Residuals (B, 8, 2) in pixels and their derivatives (B, 8, 2, 7) by the parameters in `units`."""
        z = self.depth * thickness[:, None]
        box = torch.stack([self.x.expand_as(z), self.y.expand_as(z), z], -1)
        arm = box @ rotation.transpose(1, 2)  # (B, 8, 3) from the back's middle, in the camera's axes
        place = arm + translation[:, None]
        depth = place[..., 2:].clamp_min(1.0)
        scale = self.focal[..., None] / depth  # (B, 8, 1)
        image = scale * place[..., :2]
        grows = rotation[:, None, :, 2] * self.depth[:, None]  # (B, 8, 3) by the thickness
        zero = torch.zeros_like(z)
        ax, ay, az = arm.unbind(-1)
        one = torch.ones_like(z)
        by = [
            torch.stack([zero, az, -ay, one, zero, zero, grows[..., 0]], -1),
            torch.stack([-az, zero, ax, zero, one, zero, grows[..., 1]], -1),
            torch.stack([ay, -ax, zero, zero, zero, one, grows[..., 2]], -1),
        ]
        across = torch.stack(by[:2], -2) - (place[..., :2] / depth)[..., None] * by[2][..., None, :]
        return image - self.points, scale[..., None] * across * self.units


def _normal_equations(residual: Tensor, jacobian: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    weighted = (jacobian * weights[..., None, None]).flatten(1, 2).transpose(1, 2)
    return weighted @ jacobian.flatten(1, 2), (weighted @ residual.flatten(1, 2)[..., None])[..., 0]


def _damped(normal: Tensor) -> Tensor:
    diagonal = normal.diagonal(dim1=-2, dim2=-1)
    return normal + torch.diag_embed(_DAMPING * diagonal + 1e-3)


def _turn(turn: Tensor) -> Tensor:
    """Rotations (B, 3, 3) about vectors (B, 3) by their length in radians (Rodrigues 1840), at most half a radian."""
    angle = turn.square().sum(-1, keepdim=True).clamp_min(1e-16).sqrt()
    x, y, z = (turn / angle).unbind(-1)
    angle = angle.clamp_max(_MAX_TURN)[..., None]
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).unflatten(-1, (3, 3))
    identity = torch.eye(3, dtype=turn.dtype, device=turn.device)
    return identity + angle.sin() * cross + (1 - angle.cos()) * (cross @ cross)


def _start(model: _Model, weights: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Rotation, translation and thickness from an affine fit of box to image: scaled orthography."""
    points = model.points
    design = torch.stack([model.x, model.y, model.depth, torch.ones_like(model.x)], -1)  # (8, 4)
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
    distance = model.focal[:, 0] / scale
    middle = affine[:, 3] / scale[:, None]
    translation = torch.cat([middle, distance[:, None]], -1)
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
