"""Labels that are left out of training: `data.exclude_labels`."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from cardpose.common.errors import InputError
from cardpose.common.json_files import frame_numbers, read_json
from cardpose.common.packet import Annotation, FrameId
from cardpose.data.splits import Split


def exclude_from_training(
    split: Split, annotations: Sequence[Annotation], exclude: str | Path | Mapping[str, Any] | None
) -> Split:
    """The split without the listed training frames; validation and test keep theirs.

    Args:
        annotations: all labels of the footage, before `data.stride`.
        exclude: a mapping {video: [frame, ...]} or a JSON file with one; None: nothing is left out.

    Raises:
        InputError: no such file, not a list of this form, a frame that has no label, or no training frame is left.
    """
    if exclude is None:
        return split
    name = "data.exclude_labels" if isinstance(exclude, Mapping) else str(exclude)
    videos = (
        exclude
        if isinstance(exclude, Mapping)
        else read_json(Path(exclude), "set data.exclude_labels to a file")
    )
    if not isinstance(videos, Mapping):
        raise InputError(f"{name}: not a list of frames: write {{video: [frame, ...]}}")
    left_out = set(_listed(videos, {annotation.frame_id for annotation in annotations}, name))
    train = tuple(frame for frame in split.train if frame not in left_out)
    if split.train and not train:
        raise InputError(f"{name}: leaves no training frame: list fewer")
    return replace(split, train=train)


def _listed(videos: Mapping[str, Any], known: set[FrameId], name: str) -> Iterator[FrameId]:
    for video, indices in videos.items():
        for index in frame_numbers(indices, f"{name}: {video}"):
            if (video, index) not in known:
                raise InputError(f"{name}: frame {index} of {video} has no label in the data: remove it")
            yield video, index
