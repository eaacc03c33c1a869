"""One labelled frame after another, from the frame cache."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from torch.utils.data import Dataset

from cardpose.common.packet import NOT_LABELLED, Annotation, Sample
from cardpose.data.cache import FrameCache
from cardpose.geometry.letterbox import invert_affine


class Augment(Protocol):
    """Change image (H, W, 3) uint8, corners (8, 2) and visibility (8,) together, by `seed` alone."""

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

    The key of `__getitem__` is `epoch * len(self) + i`: the augmentation's seed comes from (seed, epoch, i),
    so an example is the same whatever the number of workers, and after a resume. Unaugmented, keys are 0 to
    len - 1.

    Args:
        cache: the frames, row n of which belongs to `annotations[n]`.
        annotations: the labels of all rows.
        rows: the rows of this side.
        videos: names of the folder's videos; a sample's `video` is an index into them.
        augment: applied to each example.
        seed: of the run.
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
        image, corners, visibility = self.cache.frame(self.rows[i]), self.corners[i], self.visibility[i]
        image, corners, visibility = self.augment(image, corners, visibility, _draw_seed(self.seed, epoch, i))
        return Sample(
            image=_channels_first(image),
            corners=torch.from_numpy(np.array(corners, np.float32)),
            visibility=torch.from_numpy(np.array(visibility, np.int64)),
            cards=torch.tensor(self.cards[i]),
            video=torch.tensor(self.video[i]),
            frame_index=torch.tensor(self.frame_index[i]),
            to_source=torch.from_numpy(self.to_source[i].copy()),
            source_size=torch.from_numpy(self.source_size[i].copy()),
        )


class FrameStream(Protocol):
    """Endless labelled frames: image (H, W, 3) uint8 RGB at the network's size, and its label."""

    def __call__(self, index: int) -> tuple[np.ndarray, Annotation]: ...


class MixedDataset(Dataset[Sample]):
    """Footage of the cache, then `streamed` frames of a film; every epoch sees the next frames of the film.

    Keys as in `CardDataset`. A sample of the film has the `video` -1.

    Args:
        footage: of the cache; may be None.
        film: where the other frames come from.
        streamed: frames of the film in an epoch.
        augment: applied to the film's examples.
        seed: of the run.
    """

    def __init__(
        self, footage: CardDataset | None, stream: FrameStream, streamed: int, augment: Augment, seed: int
    ) -> None:
        self.footage, self.stream, self.streamed = footage, stream, streamed
        self.augment, self.seed = augment, seed
        self.recorded = 0 if footage is None else len(footage)

    def __len__(self) -> int:
        return self.recorded + self.streamed

    def __getitem__(self, key: int) -> Sample:
        epoch, i = divmod(key, len(self))
        if self.footage is not None and i < self.recorded:
            return self.footage[epoch * self.recorded + i]
        image, label = self.stream(epoch * self.streamed + i - self.recorded)
        corners = np.nan_to_num(label.corners)
        image, corners, visibility = self.augment(
            image, corners, label.visibility, _draw_seed(self.seed, epoch, i)
        )
        return Sample(
            image=_channels_first(image),
            corners=torch.from_numpy(np.array(corners, np.float32)),
            visibility=torch.from_numpy(np.array(visibility, np.int64)),
            cards=torch.tensor(np.float32(np.nan if label.cards is None else label.cards)),
            video=torch.tensor(-1),
            frame_index=torch.tensor(label.frame_index),
            to_source=torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]),
            source_size=torch.tensor([float(label.width), float(label.height)]),
        )


def _draw_seed(seed: int, epoch: int, i: int) -> int:
    """Of what is random about example i in this epoch."""
    return int(np.random.SeedSequence([seed, epoch, i]).generate_state(1)[0])


def _channels_first(image: np.ndarray) -> torch.Tensor:
    """(H, W, 3) to (3, H, W), whole in memory."""
    return torch.from_numpy(np.array(image.transpose(2, 0, 1), order="C"))


def _to_network(corners: Sequence[np.ndarray], visibility: np.ndarray, to_source: np.ndarray) -> np.ndarray:
    """Source pixels to network pixels, (N, 8, 2) float32, 0 where not labelled."""
    if not corners:
        return np.zeros((0, 8, 2), np.float32)
    to_network = np.stack([invert_affine(affine) for affine in to_source])  # (N, 2, 3)
    moved = np.stack(corners) @ to_network[:, :, :2].transpose(0, 2, 1) + to_network[:, None, :, 2]
    return np.where((visibility != NOT_LABELLED)[..., None], moved, 0).astype(np.float32)
