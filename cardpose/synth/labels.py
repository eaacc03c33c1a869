"""The annotations of a clip, from its geometry alone."""

from cardpose.packet import Annotation
from cardpose.synth.box import label
from cardpose.synth.records import Clip, Shot


def annotate(clip: Clip, shot: Shot, video: str) -> Annotation:
    """The exact label of a frame: a corner outside the image has none, one behind the packet is hidden."""
    corners, visibility = label(clip.packet.corners, shot.camera)
    return Annotation(
        video, shot.index, shot.timestamp, clip.width, clip.height, corners, visibility, clip.packet.cards
    )
