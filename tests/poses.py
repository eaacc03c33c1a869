"""Poses of a box before a camera."""

import torch
from torch import Tensor


def look(heading: Tensor, elevation: Tensor, distance: Tensor) -> tuple[Tensor, Tensor]:
    """Poses (N, 3, 3), (N, 3) of a box that a level camera sees in the middle of the image; angles (N,) in radians."""
    sin, cos, zero = heading.sin(), heading.cos(), torch.zeros_like(heading)
    right = torch.stack([cos, sin, zero], -1)
    forward = torch.stack([-sin * elevation.cos(), cos * elevation.cos(), -elevation.sin()], -1)
    rotation = torch.stack([right, torch.linalg.cross(forward, right), forward], 1)
    return rotation, torch.stack([zero, zero, distance], -1)
