"""Examples: labelled frames of the frame cache and of a synthetic stream."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from torch.utils.data import Dataset

from cardpose.common.errors import InputError
from cardpose.common.packet import NOT_LABELLED, Annotation, Sample
from cardpose.data.cache import FrameCache
from cardpose.geometry.letterbox import invert_affine


def subsample(annotations: Sequence[Annotation], stride: int) -> tuple[Annotation, ...]:
    """The annotations of every `stride`-th frame, counted from frame 0.

    Raises:
        InputError: `stride` is below 1, or no annotation is left.
    """
    if stride < 1:
        raise InputError(f"data.stride={stride}: choose 1 or more")
    kept = tuple(annotation for annotation in annotations if annotation.frame_index % stride == 0)
    if not kept:
        raise InputError(
            f"data.stride={stride} skips all {len(annotations)} annotated frames: choose a smaller one"
        )
    return kept


def spread_rows(rows: int, most: int) -> list[int]:
    """At most `most` of `rows` rows, evenly spread.

    >>> spread_rows(101, 5), spread_rows(2, 5)
    ([0, 25, 50, 75, 100], [0, 1])
    """
    return np.linspace(0, rows - 1, min(rows, most)).round().astype(int).tolist()


class Augment(Protocol):
    """Change image (H, W, 3) uint8, corners (8, 2) and visibility (8,) together, determined by `seed` alone."""

    def __call__(
        self, image: np.ndarray, corners: np.ndarray, visibility: np.ndarray, seed: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]: ...


def unchanged(
    image: np.ndarray, corners: np.ndarray, visibility: np.ndarray, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """No augmentation."""
    return image, corners, visibility


class CardDataset(Dataset[Sample]):
    """Frames `rows` of the cache with their labels.

    The key of `__getitem__` is `epoch * len(self) + i`: the seed of the augmentation is derived from (seed, epoch, i),
    so that an example does not depend on the number of workers, nor on a resume. Without augmentation, keys are 0 to
    len - 1.

    Args:
        cache: the frames, whose row n belongs to `annotations[n]`.
        annotations: the labels of all rows.
        rows: the rows of this dataset.
        videos: names of the folder's videos; a sample's `video` is an index into them.
        augment: applied to each example.
    """

    def __init__(
        self,
        cache: FrameCache,
        annotations: Sequence[Annotation],
        rows: Sequence[int],
        videos: Sequence[str],
        augment: Augment = unchanged,
        seed: int = 0,
    ) -> None:
        chosen = [annotations[row] for row in rows]
        number = {video: i for i, video in enumerate(videos)}
        self.cache, self.rows, self.augment, self.seed = cache, np.asarray(rows, np.int64), augment, seed
        self.visibility = np.array([a.visibility for a in chosen], np.int8).reshape(-1, 8)
        self.to_source = cache.to_source[self.rows]
        self.corners = _to_network([a.corners for a in chosen], self.visibility, self.to_source)
        self.cards = np.array([np.nan if a.cards is None else a.cards for a in chosen], np.float32)
        self.video = np.array([number[a.video] for a in chosen], np.int64)
        self.frame_index = np.array([a.frame_index for a in chosen], np.int64)
        self.source_size = np.array([(a.width, a.height) for a in chosen], np.float32).reshape(-1, 2)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, key: int) -> Sample:
        epoch, i = divmod(key, len(self))
        example = self.cache.frame(self.rows[i]), self.corners[i], self.visibility[i]
        return _sample(
            *self.augment(*example, _draw_seed(self.seed, epoch, i)),
            cards=self.cards[i],
            video=self.video[i],
            frame_index=self.frame_index[i],
            to_source=self.to_source[i],
            source_size=self.source_size[i],
        )


class FrameStream(Protocol):
    """Endless labelled frames: image (H, W, 3) uint8 RGB at the network's size, and its label."""

    def __call__(self, index: int) -> tuple[np.ndarray, Annotation]: ...


class MixedDataset(Dataset[Sample]):
    """Footage of the cache, followed by frames of a stream; every epoch contains the next frames of the stream.

    Keys as in `CardDataset`. A sample of the stream has the `video` -1.

    Args:
        footage: of the cache, or None.
        stream: the source of the other frames.
        stream_samples: frames of the stream in an epoch.
        augment: applied to the examples of the stream.
    """

    def __init__(
        self,
        footage: CardDataset | None,
        stream: FrameStream,
        stream_samples: int,
        augment: Augment,
        seed: int,
    ) -> None:
        self.footage, self.stream, self.stream_samples = footage, stream, stream_samples
        self.augment, self.seed = augment, seed
        self.footage_samples = 0 if footage is None else len(footage)

    def __len__(self) -> int:
        return self.footage_samples + self.stream_samples

    def __getitem__(self, key: int) -> Sample:
        epoch, i = divmod(key, len(self))
        if self.footage is not None and i < self.footage_samples:
            return self.footage[epoch * self.footage_samples + i]
        image, label = self.stream(epoch * self.stream_samples + i - self.footage_samples)
        example = image, np.nan_to_num(label.corners), label.visibility
        return _sample(
            *self.augment(*example, _draw_seed(self.seed, epoch, i)),
            cards=np.nan if label.cards is None else label.cards,
            video=-1,
            frame_index=label.frame_index,
            to_source=np.eye(2, 3),
            source_size=(label.width, label.height),
        )


def _sample(
    image: np.ndarray,
    corners: np.ndarray,
    visibility: np.ndarray,
    *,
    cards: float,
    video: int,
    frame_index: int,
    to_source: np.ndarray,
    source_size: Sequence[float] | np.ndarray,
) -> Sample:
    return Sample(
        image=torch.from_numpy(np.array(image.transpose(2, 0, 1), order="C")),
        corners=torch.from_numpy(np.array(corners, np.float32)),
        visibility=torch.from_numpy(np.array(visibility, np.int64)),
        cards=torch.tensor(cards, dtype=torch.float32),
        video=torch.tensor(video, dtype=torch.int64),
        frame_index=torch.tensor(frame_index, dtype=torch.int64),
        to_source=torch.from_numpy(np.array(to_source, np.float32)),
        source_size=torch.from_numpy(np.array(source_size, np.float32)),
    )


def _draw_seed(seed: int, epoch: int, i: int) -> int:
    """The seed of everything random about example i in this epoch."""
    return int(np.random.SeedSequence([seed, epoch, i]).generate_state(1)[0])


def _to_network(corners: Sequence[np.ndarray], visibility: np.ndarray, to_source: np.ndarray) -> np.ndarray:
    """Source pixels to network pixels, (N, 8, 2) float32, 0 if not labelled."""
    if not corners:
        return np.zeros((0, 8, 2), np.float32)
    to_network = np.stack([invert_affine(affine) for affine in to_source])  # (N, 2, 3)
    moved = np.stack(corners) @ to_network[:, :, :2].transpose(0, 2, 1) + to_network[:, None, :, 2]
    return np.where((visibility != NOT_LABELLED)[..., None], moved, 0).astype(np.float32)
