"""The annotation of a frame, from the geometry alone."""

import numpy as np

from cardpose.common.packet import HIDDEN, VISIBLE, Annotation
from cardpose.synth.records import Clip, Shot
from cardpose.synth.rendering.box import label
from cardpose.synth.rendering.occluders import covered, in_front


def annotate(clip: Clip, shot: Shot, video: str) -> Annotation:
    """The exact label: corners outside the image are not labelled, those behind packet or occluder are hidden."""
    corners, visibility = label(clip.packet.corners, shot.camera)
    seen = np.flatnonzero(visibility == VISIBLE)
    visibility[seen[covered(corners[seen], in_front(clip, shot), shot.camera)]] = HIDDEN
    return Annotation(
        video, shot.index, shot.timestamp, clip.width, clip.height, corners, visibility, clip.packet.cards
    )
