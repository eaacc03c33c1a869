"""The training order: a function of seed and epoch alone."""

from collections.abc import Iterator

import numpy as np
from torch.utils.data import Sampler


class EpochShuffle(Sampler[int]):
    """Shuffle by (seed, epoch) and yield `epoch * length + i`.

    The epoch travels inside the key because persistent workers copy the dataset once and never hear of the
    next epoch. Without state, the order after a resume is the order without the interruption.

    Args:
        length: number of examples.
        seed: of the run.
        epoch: the epoch to start in; the trainer calls `set_epoch` before each later one.
        skip: examples of that first epoch that were seen before the interruption, left out once.
    """

    def __init__(self, length: int, seed: int, epoch: int = 0, skip: int = 0) -> None:
        self.length, self.seed, self.epoch, self.skip = length, seed, epoch, skip

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        order = np.random.default_rng([self.seed, self.epoch]).permutation(self.length)
        skip, self.skip = self.skip, 0
        return iter((self.epoch * self.length + order[skip:]).tolist())

    def __len__(self) -> int:
        """Examples of a whole epoch; the trainer counts the skipped ones as done."""
        return self.length
