"""Splits into training, validation and test frames.

Every function takes the annotations first and returns a `Split`, the list that is saved with the run.

Footage with one count per video contains many nearly identical frames: a frame that is held out at random has
neighbours with the same count in training, so `random_frames` does not measure performance on new packets. The default
`by_video` does.

Adding a new split: write such a function and a file in conf/split/ that names it with `_partial_: true`.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cardpose.common.errors import InputError
from cardpose.common.files import replace_file
from cardpose.common.json_files import frame_numbers, read_json
from cardpose.common.packet import MAX_CARDS, Annotation, FrameId

SUBSETS = ("train", "val", "test")
VAL_SHARE = 0.05
"""Fraction of the videos for validation; each of them is one count less to train on."""


@dataclass(frozen=True)
class Split:
    """The frames of each subset, in the order of the dataset folder."""

    train: tuple[FrameId, ...]
    val: tuple[FrameId, ...]
    test: tuple[FrameId, ...]

    def to_dict(self) -> dict[str, dict[str, list[int]]]:
        """The frame indices of each video by subset, as `explicit` reads them."""
        subsets: dict[str, dict[str, list[int]]] = {subset: {} for subset in SUBSETS}
        for subset, videos in subsets.items():
            for video, index in getattr(self, subset):
                videos.setdefault(video, []).append(index)
        return subsets

    def save(self, path: str | Path) -> None:
        """Write as JSON with one line per video, as `from_file` reads it."""
        with replace_file(path) as partial:
            partial.write_text(_to_json(self.to_dict()))


def by_video(
    annotations: Sequence[Annotation],
    *,
    folds: int = 5,
    fold: int = 0,
    val_videos: float | None = None,
    train_videos: int | None = None,
    seed: int = 0,
) -> Split:
    """Hold out whole videos: fold number `fold` of `folds` is the test set.

    Stratified: videos sorted by count are divided into groups of `folds` neighbours, and each group gives one video to
    each fold, in an order drawn from `seed`, so that no fold always gets the larger count of a group. The `val_videos`
    validation videos, by default a twentieth of all, are spread evenly over the counts of the rest; so are the
    `train_videos` training videos, by default all that remain. `val_videos` below 1 is a share of all videos, at least
    2 of them where that leaves one to train on. Videos of unknown count come last.

    Raises:
        InputError: a fold that does not exist, or too few videos for every subset to have one.
    """
    videos = _videos_by_count(annotations)
    _check_videos(videos)
    if not 2 <= folds <= len(videos):
        raise InputError(f"split.folds={folds} of {len(videos)} videos: choose 2 to {len(videos)}")
    if not 0 <= fold < folds:
        raise InputError(f"split.fold={fold} of split.folds={folds}: choose 0 to {folds - 1}")
    rng = np.random.default_rng(seed)
    fold_of = np.concatenate([rng.permutation(folds) for _ in range(0, len(videos), folds)])[: len(videos)]
    test = [video for video, of in zip(videos, fold_of, strict=True) if of == fold]
    return _whole_videos(annotations, videos, test, val_videos, train_videos, "raise split.folds")


def by_video_fraction(
    annotations: Sequence[Annotation],
    *,
    test_fraction: float = 0.2,
    val_videos: float | None = None,
    train_videos: int | None = None,
) -> Split:
    """As `by_video`, but the test set is a fraction of the videos, spread evenly over the counts.

    Raises:
        InputError: a fraction outside 0 to 1, or too few videos for every subset to have one.
    """
    videos = _videos_by_count(annotations)
    _check_videos(videos)
    _check_fraction("test_fraction", test_fraction)
    test = _spread(videos, max(1, round(len(videos) * test_fraction)))
    return _whole_videos(annotations, videos, test, val_videos, train_videos, "lower split.test_fraction")


def random_frames(
    annotations: Sequence[Annotation],
    *,
    test_fraction: float = 0.2,
    val_fraction: float = 0.1,
    seed: int = 420,
) -> Split:
    """Hold out frames at random, neighbours of training frames: the protocol of the author of the public data.

    Args:
        test_fraction: fraction of all frames.
        val_fraction: fraction of the frames that are not in the test set.
        seed: of the permutation.

    Raises:
        InputError: a fraction outside 0 to 1, or an empty subset.
    """
    _check_fraction("test_fraction", test_fraction)
    _check_fraction("val_fraction", val_fraction)
    if len(annotations) < len(SUBSETS):
        raise InputError(f"split: {len(annotations)} labelled frames, 3 are needed: label more frames")
    num_test = max(1, round(len(annotations) * test_fraction))
    num_val = max(1, round((len(annotations) - num_test) * val_fraction))
    order = np.random.default_rng(seed).permutation(len(annotations))
    subset = np.full(len(annotations), "train", dtype=object)
    subset[order[:num_test]] = "test"
    subset[order[num_test : num_test + num_val]] = "val"
    return _checked(_split(annotations, subset.tolist()), "lower split.test_fraction and split.val_fraction")


def all_test(annotations: Sequence[Annotation], exclude: Sequence[str] = ()) -> Split:
    """Every frame is a test frame, except those of the videos in `exclude`.

    Raises:
        InputError: `exclude` names an unknown video, or no frame is left.
    """
    videos = {annotation.video for annotation in annotations}
    unknown = [video for video in exclude if video not in videos]
    if unknown:
        raise InputError(f"split.exclude: no video {unknown[0]}: choose among {', '.join(sorted(videos))}")
    kept = [annotation for annotation in annotations if annotation.video not in exclude]
    if not kept:
        raise InputError("split.exclude leaves no frame to test: name fewer videos")
    return _split(kept, ["test"] * len(kept))


def explicit(
    annotations: Sequence[Annotation], *, subsets: Mapping[str, Mapping[str, Any]], name: str
) -> Split:
    """A given list; frames that are not in it are left out.

    Args:
        subsets: the frame indices of each video by subset, or "all" for every frame of a video. `train` and `val` may
            be missing or empty, for an evaluation.
        name: of the list, for messages.

    Raises:
        InputError: an unknown subset, a frame that the data does not have, a frame in two subsets, or no test frame.
    """
    subset_of: dict[FrameId, str] = {}
    known: dict[str, list[int]] = {}
    for annotation in annotations:
        known.setdefault(annotation.video, []).append(annotation.frame_index)
    for subset, videos in subsets.items():
        if subset not in SUBSETS:
            raise InputError(f"{name}: unknown subset {subset!r}, write {', '.join(SUBSETS)}")
        for video, indices in videos.items():
            where = f"{name}: {subset}"
            if video not in known:
                raise InputError(f"{where} names {video}, which has no labelled frame in the data: remove it")
            for index in known[video] if indices == "all" else frame_numbers(indices, f"{where} {video}"):
                if index not in known[video]:
                    raise InputError(
                        f"{where} names frame {index} of {video}, which is not labelled: remove it"
                    )
                other = subset_of.setdefault((video, index), subset)
                if other != subset:
                    raise InputError(
                        f"{name}: frame {index} of {video} is in {other} and in {subset}: keep one"
                    )
    if "test" not in subset_of.values():
        raise InputError(f"{name}: no frame in test: list at least one")
    return _split(annotations, [subset_of.get(a.frame_id) for a in annotations])


def from_file(
    annotations: Sequence[Annotation], *, path: str | Path, needed: Sequence[str] = SUBSETS
) -> Split:
    """The list in a JSON file, for example the split.json of a run. Format: `explicit`.

    Subsets that are not `needed` are left out: an evaluation needs the test subset.

    Raises:
        InputError: no such file, not JSON of this form, or what `explicit` finds wrong.
    """
    subsets = read_json(Path(path), "set split.path to a file")
    if not (isinstance(subsets, dict) and all(isinstance(videos, dict) for videos in subsets.values())):
        raise InputError(f"{path}: not a split: write {{subset: {{video: [frame, ...]}}}}")
    subsets = {name: frames for name, frames in subsets.items() if name in needed or name not in SUBSETS}
    return explicit(annotations, subsets=subsets, name=str(path))


def _whole_videos(
    annotations: Sequence[Annotation],
    videos: list[str],
    test: list[str],
    val_videos: float | None,
    train_videos: int | None,
    fewer_tested: str,
) -> Split:
    """The given test videos; validation and then training videos spread over the rest.

    `fewer_tested` is how to test fewer videos, for messages.
    """
    rest = [video for video in videos if video not in set(test)]
    if len(rest) < 2:
        raise InputError(f"split: {len(test)} of {len(videos)} videos are tested: {fewer_tested}")
    if val_videos is None:
        val_videos = max(1, round(len(videos) * VAL_SHARE))
    elif 0 < val_videos < 1:
        val_videos = min(max(2, round(len(videos) * val_videos)), len(rest) - 1)
    if val_videos != int(val_videos):
        raise InputError(f"split.val_videos={val_videos}: choose a whole number, or a share below 1")
    if not 1 <= val_videos < len(rest):
        raise InputError(
            f"split.val_videos={val_videos} of the {len(rest)} videos outside test leaves a subset empty: "
            f"choose 1 to {len(rest) - 1}, or a share below 1, or add videos"
        )
    val = _spread(rest, int(val_videos))
    train = [video for video in rest if video not in set(val)]
    if train_videos is not None:
        if not 1 <= train_videos <= len(train):
            raise InputError(f"split.train_videos={train_videos}: choose 1 to {len(train)}, or null for all")
        train = _spread(train, train_videos)
    subset_of = dict.fromkeys(train, "train") | dict.fromkeys(val, "val") | dict.fromkeys(test, "test")
    return _checked(_split(annotations, [subset_of.get(a.video) for a in annotations]), "add videos")


def _videos_by_count(annotations: Sequence[Annotation]) -> list[str]:
    """Names of the labelled videos sorted by count, unknown counts last."""
    count: dict[str, int] = {}
    for annotation in annotations:
        count.setdefault(annotation.video, annotation.cards or MAX_CARDS + 1)
    return sorted(count, key=lambda video: (count[video], video))


def _spread(items: list[str], number: int) -> list[str]:
    """Evenly spaced items, without the ends.

    >>> _spread(list("abcdefghi"), 3)
    ['b', 'e', 'h']
    """
    return [items[int((i + 0.5) * len(items) / number)] for i in range(number)]


def _split(annotations: Sequence[Annotation], subsets: Sequence[str | None]) -> Split:
    frames: dict[str, list[FrameId]] = {subset: [] for subset in SUBSETS}
    for annotation, subset in zip(annotations, subsets, strict=True):
        if subset is not None:
            frames[subset].append(annotation.frame_id)
    return Split(**{subset: tuple(frames[subset]) for subset in SUBSETS})


def _checked(split: Split, fix: str) -> Split:
    for subset in SUBSETS:
        if not getattr(split, subset):
            raise InputError(f"split: no frame in {subset}: {fix}")
    return split


def _check_videos(videos: Sequence[str]) -> None:
    if len(videos) < len(SUBSETS):
        raise InputError(
            f"split: {len(videos)} labelled {'video' if len(videos) == 1 else 'videos'}, 3 are needed to hold out "
            "whole videos: label more videos, or train with split=random, whose scores do not hold for new ones"
        )


def _check_fraction(key: str, value: float) -> None:
    if not 0 < value < 1:
        raise InputError(f"split.{key}={value} leaves a subset empty: choose between 0 and 1")


def _to_json(subsets: Mapping[str, Mapping[str, list[int]]]) -> str:
    """JSON with one line per video."""
    blocks = []
    for subset, videos in subsets.items():
        lines = [f"  {json.dumps(video)}: {json.dumps(indices)}" for video, indices in videos.items()]
        block = "\n" + ",\n".join(lines) + "\n " if lines else ""
        blocks.append(f" {json.dumps(subset)}: {{{block}}}")
    return "{\n" + ",\n".join(blocks) + "\n}\n"
