"""The training order, a function of seed and epoch alone, and the place in it after an interruption."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from lightning.pytorch import Trainer
from torch.utils.data import DataLoader, Sampler


class EpochShuffle(Sampler[int]):
    """Shuffle by (seed, epoch) and yield `epoch * length + i`.

    The epoch travels inside the key because persistent workers copy the dataset once and never hear of the
    next epoch. Without state, the order after a resume is the order without the interruption.

    Args:
        length: number of examples.
        seed: of the run.
        epoch: the epoch to start in; the trainer calls `set_epoch` before each later one.
        skip: examples of that first epoch that were seen before the interruption, left out once.
        in_order: of the examples, the last so many come in their order, between the shuffled others: the frames of
            a film, of which neighbours are cheaper together.
    """

    def __init__(self, length: int, seed: int, epoch: int = 0, skip: int = 0, in_order: int = 0) -> None:
        self.length, self.seed, self.epoch, self.skip = length, seed, epoch, skip
        self.in_order = in_order

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        order = np.random.default_rng([self.seed, self.epoch]).permutation(self.length)
        first = self.length - self.in_order
        order[order >= first] = np.arange(first, self.length)
        skip, self.skip = self.skip, 0
        return iter((self.epoch * self.length + order[skip:]).tolist())

    def __len__(self) -> int:
        """Examples of a whole epoch; the trainer counts the skipped ones as done."""
        return self.length


def position(trainer: Trainer) -> tuple[int, int]:
    """Where training is about to go on: the epoch, and the batches of it already done.

    On a resume Lightning makes the loader's iterator, which prefetches, before it tells the sampler the
    epoch, and after an interruption in mid-epoch it starts the loader from the front. So the sampler has to
    know beforehand. Both numbers come from the restored progress of the loops, as far as the weights have
    seen: an epoch whose last batch is processed is over, even where the checkpoint was written before
    Lightning counted it.
    """
    epochs, batches = trainer.fit_loop.epoch_progress.current, trainer.fit_loop.epoch_loop.batch_progress
    if batches.is_last_batch or epochs.started == 0:
        return epochs.started, 0
    return epochs.started - 1, batches.current.processed


class ResumableLoader(DataLoader):
    """Tells Lightning, which warns otherwise, that it goes on in mid-epoch where the interrupted run stopped.

    There is nothing to save: the place comes from `position`.
    """

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        pass
