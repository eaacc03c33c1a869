"""The frames of a clip."""

import numpy as np

from cardpose.synth.records import Clip, Shot
from cardpose.synth.rendering import occluders
from cardpose.synth.rendering.sensor import Camcorder
from cardpose.synth.rendering.stack import Stack
from cardpose.synth.rendering.surface import Surface

VERSION = 5
"""Increase it when the same scenes give other pixels or labels: rendered folders then count as stale."""


class Renderer:
    """Draws the frames of one clip; what they share is computed once."""

    def __init__(self, clip: Clip) -> None:
        self.clip = clip
        self.surface, self.stack, self.camcorder = Surface(clip), Stack(clip), Camcorder(clip)

    def frame(self, shot: Shot) -> np.ndarray:
        """(height, width, 3) uint8 RGB."""
        light = self.surface.draw(shot.camera)
        occluders.draw(light, occluders.behind(self.clip, shot), shot.camera, self.clip.light)
        if not self.clip.empty:
            self.stack.draw(light, shot.camera)
        occluders.draw(light, occluders.in_front(self.clip, shot), shot.camera, self.clip.light)
        return self.camcorder.expose(light, shot)
