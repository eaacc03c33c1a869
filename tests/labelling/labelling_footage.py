"""Boxes as a pinhole camera sees them, drawn so that a person could label them."""

import math

import cv2
import numpy as np
import torch

from cardpose.common.packet import BACK, CORNERS, EDGES
from cardpose.geometry.box_fit import PHONE_FOCAL, BoxFit, project

SIZE = (320, 240)
HIDDEN_HERE = CORNERS.index("upper_left_face")
"""The far corner on the table, behind the packet."""


def seen_box(
    turn: float, size: tuple[int, int] = SIZE, tilt: float = 40.0, cards_mm: float = 12.0
) -> np.ndarray:
    """(8, 2) corners of a packet turned by `turn` degrees, seen from `tilt` degrees above the table."""
    a, e = math.radians(turn), math.radians(tilt)
    about = np.array([[math.cos(a), -math.sin(a), 0], [math.sin(a), math.cos(a), 0], [0, 0, 1]])
    # Camera axes in the table's: right, down, forward.
    view = np.array([[1, 0, 0], [0, -math.sin(e), -math.cos(e)], [0, math.cos(e), -math.sin(e)]])
    box = BoxFit(
        torch.tensor([cards_mm]).double(),
        torch.from_numpy(view @ about)[None],
        torch.tensor([[0.0, 0.0, 230.0]]).double(),
        *(torch.zeros(1),) * 3,
    )
    return project(box, PHONE_FOCAL * max(size), ((size[0] - 1) / 2, (size[1] - 1) / 2))[0].numpy()


def drawn_box(number: int) -> tuple[np.ndarray, np.ndarray]:
    """Corners (8, 2) and picture (240, 320, 3) uint8 RGB of the box of frame `number`."""
    corners = seen_box(-12 - 4 * number)
    image = np.full((SIZE[1], SIZE[0], 3), (30, 110, 60), np.uint8)
    for points, colour in ((corners, (230, 230, 225)), (corners[list(BACK)], (180, 40, 40))):
        cv2.fillConvexPoly(image, cv2.convexHull(np.round(points).astype(np.int32)), colour)
    for i, j in EDGES:
        if HIDDEN_HERE not in (i, j):
            cv2.line(image, *(tuple(np.round(corners[k]).astype(int).tolist()) for k in (i, j)), (90, 90, 90))
    cv2.putText(image, str(number), (8, 24), cv2.FONT_HERSHEY_SIMPLEX, 0.8, (255, 255, 255), 2)
    return corners, image
