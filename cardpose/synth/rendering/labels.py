"""The annotation of a frame, from the geometry alone."""

import numpy as np

from cardpose.common.packet import HIDDEN, NOT_LABELLED, VISIBLE, Annotation
from cardpose.synth.records import Clip, Shot
from cardpose.synth.rendering.box import label
from cardpose.synth.rendering.occluders import covered, in_front


def annotate(clip: Clip, shot: Shot, video: str) -> Annotation:
    """The exact label: corners outside the image are not labelled, those behind packet or occluder are hidden."""
    cards: int | None = clip.packet.cards
    corners, visibility = label(clip.packet.corners, shot.camera)
    if clip.empty:
        corners[:], visibility[:], cards = np.nan, NOT_LABELLED, None
    seen = np.flatnonzero(visibility == VISIBLE)
    visibility[seen[covered(corners[seen], in_front(clip, shot), shot.camera)]] = HIDDEN
    return Annotation(video, shot.index, shot.timestamp, clip.width, clip.height, corners, visibility, cards)
