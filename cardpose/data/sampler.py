"""The training order, a function of seed and epoch alone, the place in it after an interruption, and which process
takes which frames."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from lightning.pytorch import Trainer
from torch.utils.data import DataLoader, Sampler

from cardpose.common.distributed.collectives import SINGLE_PROCESS, ProcessRank
from cardpose.common.errors import InputError


class ResumableDistributedSampler(Sampler[int]):
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
        batch_size: of all processes together.
        share: which of them this is. Each takes its part of every batch, so that the batches of all together are
            those of one process alone; the last, smaller batch is left out.
    """

    def __init__(
        self,
        length: int,
        seed: int,
        epoch: int = 0,
        skip: int = 0,
        in_order: int = 0,
        batch_size: int = 1,
        share: ProcessRank = SINGLE_PROCESS,
    ) -> None:
        self.length, self.seed, self.epoch, self.skip = length, seed, epoch, skip
        self.in_order = in_order
        self.batch_size, self.share = batch_size, share

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        order = np.random.default_rng([self.seed, self.epoch]).permutation(self.length)
        first = self.length - self.in_order
        order[order >= first] = np.arange(first, self.length)
        skip, self.skip = self.skip, 0
        batches = order[: self.length // self.batch_size * self.batch_size].reshape(-1, self.batch_size)
        own = np.split(batches, self.share.world, axis=1)[self.share.rank].ravel()
        return iter((self.epoch * self.length + own[skip // self.share.world :]).tolist())

    def __len__(self) -> int:
        """This process's examples of a whole epoch; the trainer counts the skipped ones as done."""
        return self.length // self.batch_size * (self.batch_size // self.share.world)


def check_divisible(batch_size: int, sides: Mapping[str, int], world: int) -> None:
    """Refuse what `world` processes cannot share.

    Args:
        batch_size: of all of them together.
        sides: number of frames by the name of what evaluates them; 0 is none to share.
        world: number of processes.

    Raises:
        InputError: a batch that they do not divide, or fewer frames than processes.
    """
    if batch_size % world:
        raise InputError(
            f"data.batch_size={batch_size} does not divide by the {world} processes that share each batch: choose a "
            f"multiple of {world}"
        )
    for side, frames in sides.items():
        if 0 < frames < world:
            raise InputError(
                f"{frames} {side} frames are fewer than the {world} processes: lower trainer.devices"
            )


class InterleavedEvalSampler(Sampler[int]):
    """Batches in order, dealt to the processes in turn; each example once, the last batch may be smaller.

    `cardpose.common.distributed.collectives.all_gather_interleaved` puts together again what was made of them.

    Args:
        length: number of examples, at least one a process.
        batch_size: of each process, as its loader's; see `dealt_batch_size`.
        share: which of the processes this is.
    """

    def __init__(self, length: int, batch_size: int, share: ProcessRank) -> None:
        starts = range(share.rank * batch_size, length, share.world * batch_size)
        self.own = [i for start in starts for i in range(start, min(start + batch_size, length))]

    def __iter__(self) -> Iterator[int]:
        return iter(self.own)

    def __len__(self) -> int:
        return len(self.own)


def dealt_batch_size(length: int, batch_size: int, world: int) -> int:
    """A process's part of `batch_size`, less where some would get no batch: they have to keep step.

    >>> dealt_batch_size(39, 16, world=1), dealt_batch_size(39, 16, world=2), dealt_batch_size(10, 16, world=8)
    (16, 8, 1)
    """
    return batch_size if world == 1 else max(1, min(batch_size, length) // world)


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


class ResumableDataLoader(DataLoader):
    """Tells Lightning, which warns otherwise, that it goes on in mid-epoch where the interrupted run stopped.

    There is nothing to save: the place comes from `position`.
    """

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        pass
