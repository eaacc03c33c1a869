"""Which frames train, validate and test.

Every function here takes the annotations first and returns a `Split`, the list that is saved with the run.
Adding a new split: write such a function and a file in conf/split/ that names it with `_partial_: true`.

In footage of one count per video, frames held out at random sit between near-identical training frames of
the same count, so `random_frames` says little about new packets; `by_video` is the honest one and the
default.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cardpose.common.errors import InputError
from cardpose.common.files import replace_file
from cardpose.common.packet import MAX_CARDS, Annotation, FrameId

SIDES = ("train", "val", "test")
VAL_SHARE = 0.05
"""Of all videos, for validation: each of them is one count less to train with."""


@dataclass(frozen=True)
class Split:
    """The frames of each side, in the order of the dataset folder."""

    train: tuple[FrameId, ...]
    val: tuple[FrameId, ...]
    test: tuple[FrameId, ...]

    def to_dict(self) -> dict[str, dict[str, list[int]]]:
        """Per side, the frame indices of each video: what `explicit` reads."""
        sides: dict[str, dict[str, list[int]]] = {}
        for side in SIDES:
            frames: dict[str, list[int]] = sides.setdefault(side, {})
            for video, index in getattr(self, side):
                frames.setdefault(video, []).append(index)
        return sides

    def save(self, path: str | Path) -> None:
        """Write as JSON that `from_file` reads, one line per video."""
        with replace_file(path) as partial:
            partial.write_text(_to_json(self.to_dict()))


def by_video(
    annotations: Sequence[Annotation],
    *,
    folds: int = 5,
    fold: int = 0,
    val_videos: int | None = None,
    train_videos: int | None = None,
    seed: int = 0,
) -> Split:
    """Hold whole videos out: fold number `fold` of `folds` is the test side.

    Stratified: videos sorted by count are cut into groups of `folds` neighbours and each group deals one
    video to each fold, in an order drawn from `seed`, so that no fold always gets the larger count of a
    group. The `val_videos` validation videos, by default a twentieth of all, are spread evenly over
    the counts of the rest; so are the `train_videos` training videos, by default all that are left. A video of
    unknown count is dealt last.

    Raises:
        InputError: a fold that does not exist, or too few videos for every side to have one.
    """
    videos = _videos_by_count(annotations)
    if folds < 2 or not 0 <= fold < folds:
        raise InputError(
            f"split.fold={fold} of split.folds={folds} does not exist: count folds from 0, at least 2"
        )
    if len(videos) < folds:
        raise InputError(
            f"split.folds={folds} needs as many videos, the data has {len(videos)}: lower split.folds"
        )
    rng = np.random.default_rng(seed)
    dealt = np.concatenate([rng.permutation(folds) for _ in range(0, len(videos), folds)])[: len(videos)]
    test = [video for video, of in zip(videos, dealt, strict=True) if of == fold]
    return _whole_videos(annotations, videos, test, val_videos, train_videos)


def by_video_fraction(
    annotations: Sequence[Annotation],
    *,
    test_fraction: float = 0.2,
    val_videos: int | None = None,
    train_videos: int | None = None,
) -> Split:
    """Hold whole videos out: a share of them, spread evenly over the counts, is the test side; the rest as `by_video`.

    Raises:
        InputError: a fraction outside 0 to 1, or too few videos for every side to have one.
    """
    videos = _videos_by_count(annotations)
    _check_fraction("test_fraction", test_fraction)
    test = _spread(videos, max(1, round(len(videos) * test_fraction)))
    return _whole_videos(annotations, videos, test, val_videos, train_videos)


def random_frames(
    annotations: Sequence[Annotation],
    *,
    test_fraction: float = 0.2,
    val_fraction: float = 0.1,
    seed: int = 420,
) -> Split:
    """Hold frames out at random, neighbours of the training frames: the protocol of the public data's author.

    Args:
        annotations: the labelled frames.
        test_fraction: share of all frames.
        val_fraction: share of the frames that are not in test.
        seed: of the permutation.

    Raises:
        InputError: a fraction outside 0 to 1, or a side left empty.
    """
    _check_fraction("test_fraction", test_fraction)
    _check_fraction("val_fraction", val_fraction)
    num_test = round(len(annotations) * test_fraction)
    num_val = round((len(annotations) - num_test) * val_fraction)
    order = np.random.default_rng(seed).permutation(len(annotations))
    side = np.full(len(annotations), "train", dtype=object)
    side[order[:num_test]] = "test"
    side[order[num_test : num_test + num_val]] = "val"
    return _checked(_split(annotations, side.tolist()), "raise split.test_fraction and split.val_fraction")


def all_test(annotations: Sequence[Annotation], without: Sequence[str] = ()) -> Split:
    """Every frame is test: a folder evaluated whole, but for the videos `without`.

    Raises:
        InputError: `without` names a video that is not there, or leaves nothing.
    """
    videos = {annotation.video for annotation in annotations}
    unknown = [video for video in without if video not in videos]
    if unknown:
        raise InputError(f"split.without: no video {unknown[0]}: choose among {', '.join(sorted(videos))}")
    kept = [annotation for annotation in annotations if annotation.video not in without]
    if not kept:
        raise InputError("split.without leaves no frame to test: name fewer videos")
    return _split(kept, ["test"] * len(kept))


def explicit(
    annotations: Sequence[Annotation], *, sides: Mapping[str, Mapping[str, Any]], name: str
) -> Split:
    """A given list; frames that it does not name are left out.

    Args:
        annotations: the labelled frames.
        sides: per side, the frame indices of each video, or "all" for every frame of the video. `train` and
            `val` may be missing or empty, for an evaluation.
        name: of the list, for messages.

    Raises:
        InputError: an unknown side, a frame that the data does not have, a frame on two sides, or nothing to
            test.
    """
    side_of: dict[FrameId, str] = {}
    known: dict[str, list[int]] = {}
    for annotation in annotations:
        known.setdefault(annotation.video, []).append(annotation.frame_index)
    for side, videos in sides.items():
        if side not in SIDES:
            raise InputError(f"{name}: unknown side {side!r}, write {', '.join(SIDES)}")
        for video, indices in videos.items():
            if video not in known:
                raise InputError(
                    f"{name}: {side} names {video}, which has no labelled frame in the data: remove it"
                )
            for index in known[video] if indices == "all" else _indices(indices, f"{name}: {side} {video}"):
                _claim(side_of, (video, index), side, known[video], name)
    if "test" not in side_of.values():
        raise InputError(f"{name}: no frame in test: list at least one")
    return _split(annotations, [side_of.get((a.video, a.frame_index)) for a in annotations])


def from_file(annotations: Sequence[Annotation], *, path: str | Path) -> Split:
    """The list in a JSON file, for example the split.json of a run. Format: `explicit`.

    Raises:
        InputError: no such file, not JSON of this form, or what `explicit` finds wrong.
    """
    try:
        sides = json.loads(Path(path).read_text())
    except OSError as error:
        raise InputError(
            f"{path}: cannot read the split ({error.strerror}): set split.path to a file"
        ) from error
    except ValueError as error:
        raise InputError(f"{path}: not JSON ({error}): write {{side: {{video: [frame, ...]}}}}") from error
    if not (isinstance(sides, dict) and all(isinstance(videos, dict) for videos in sides.values())):
        raise InputError(f"{path}: not a split: write {{side: {{video: [frame, ...]}}}}")
    return explicit(annotations, sides=sides, name=str(path))


def _indices(value: Any, where: str) -> list[int]:
    if not (isinstance(value, list) and all(isinstance(index, int) for index in value)):
        raise InputError(f'{where}: write a list of frame numbers or "all"')
    return value


def _claim(side_of: dict[FrameId, str], frame: FrameId, side: str, known: Sequence[int], name: str) -> None:
    """Put a frame on a side, once."""
    video, index = frame
    if index not in known:
        raise InputError(f"{name}: {side} names frame {index} of {video}, which is not labelled: remove it")
    if side_of.setdefault(frame, side) != side:
        raise InputError(f"{name}: frame {index} of {video} is in {side_of[frame]} and in {side}: keep one")


def _whole_videos(
    annotations: Sequence[Annotation],
    videos: list[str],
    test: list[str],
    val_videos: int | None,
    train_videos: int | None,
) -> Split:
    """Test videos given; validation and then training videos spread over the rest."""
    if val_videos is None:
        val_videos = max(1, round(len(videos) * VAL_SHARE))
    rest = [video for video in videos if video not in set(test)]
    if not 1 <= val_videos < len(rest):
        raise InputError(
            f"split.val_videos={val_videos} of the {len(rest)} videos outside test leaves a side empty: "
            f"choose 1 to {len(rest) - 1}, or add videos"
        )
    val = _spread(rest, val_videos)
    train = [video for video in rest if video not in set(val)]
    if train_videos is not None:
        if not 1 <= train_videos <= len(train):
            raise InputError(f"split.train_videos={train_videos}: choose 1 to {len(train)}, or null for all")
        train = _spread(train, train_videos)
    side_of = dict.fromkeys(train, "train") | dict.fromkeys(val, "val") | dict.fromkeys(test, "test")
    return _checked(_split(annotations, [side_of.get(a.video) for a in annotations]), "add videos")


def _videos_by_count(annotations: Sequence[Annotation]) -> list[str]:
    """Names of the labelled videos by count, unknown last."""
    count: dict[str, int] = {}
    for annotation in annotations:
        count.setdefault(annotation.video, annotation.cards or MAX_CARDS + 1)
    return sorted(count, key=lambda video: (count[video], video))


def _spread(items: list[str], number: int) -> list[str]:
    """Evenly spaced items, the ends avoided.

    >>> _spread(list("abcdefghi"), 3)
    ['b', 'e', 'h']
    """
    return [items[int((i + 0.5) * len(items) / number)] for i in range(number)]


def _split(annotations: Sequence[Annotation], sides: Sequence[str | None]) -> Split:
    frames: dict[str, list[FrameId]] = {side: [] for side in SIDES}
    for annotation, side in zip(annotations, sides, strict=True):
        if side is not None:
            frames[side].append((annotation.video, annotation.frame_index))
    return Split(**{side: tuple(frames[side]) for side in SIDES})


def _checked(split: Split, mend: str) -> Split:
    for side in SIDES:
        if not getattr(split, side):
            raise InputError(f"split: no frame in {side}: {mend}")
    return split


def _check_fraction(key: str, value: float) -> None:
    if not 0 < value < 1:
        raise InputError(f"split.{key}={value} leaves a side empty: choose between 0 and 1")


def _to_json(sides: Mapping[str, Mapping[str, list[int]]]) -> str:
    """JSON with one line per video."""
    blocks = []
    for side, videos in sides.items():
        lines = ",\n".join(
            f"  {json.dumps(video)}: {json.dumps(indices)}" for video, indices in videos.items()
        )
        blocks.append(f" {json.dumps(side)}: {{\n{lines}\n }}" if lines else f" {json.dumps(side)}: {{}}")
    return "{\n" + ",\n".join(blocks) + "\n}\n"
