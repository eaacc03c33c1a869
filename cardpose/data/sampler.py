"""The order of the examples: the same after a resume, and the same batches for any number of processes."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from lightning.pytorch import Trainer
from torch.utils.data import DataLoader, Sampler

from cardpose.common.distributed.collectives import SINGLE_PROCESS, ProcessRank
from cardpose.common.errors import InputError


class ResumableDistributedSampler(Sampler[int]):
    """Shuffle by (seed, epoch) and yield `epoch * length + i`.

    The epoch is part of the key because persistent workers copy the dataset once and never learn of the next epoch. The
    order has no state, so that it is the same after a resume.

    torch's DistributedSampler distributes single examples and pads the last batch: batches would depend on the number
    of processes. torchdata's StatefulDataLoader stores the state of its workers in the checkpoint; here there is none.

    Args:
        epoch: the first epoch; the trainer calls `set_epoch` before each later one.
        skip: examples of the first epoch that were seen before the interruption.
        in_order: this many examples at the end of the dataset stay in order between the shuffled others: the frames of
            a stream, of which adjacent ones are cheaper together.
        batch_size: over all processes.
        process: rank of this process. Each takes its part of every batch, so that all parts together are the batches of
            a single process; the last, smaller batch is dropped.
    """

    def __init__(
        self,
        length: int,
        seed: int,
        epoch: int = 0,
        skip: int = 0,
        in_order: int = 0,
        batch_size: int = 1,
        process: ProcessRank = SINGLE_PROCESS,
    ) -> None:
        self.length, self.seed, self.epoch, self.skip = length, seed, epoch, skip
        self.in_order, self.batch_size, self.process = in_order, batch_size, process

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        order = np.random.default_rng([self.seed, self.epoch]).permutation(self.length)
        first = self.length - self.in_order
        order[order >= first] = np.arange(first, self.length)
        skip, self.skip = self.skip, 0
        batches = order[: self.length // self.batch_size * self.batch_size].reshape(-1, self.batch_size)
        own = np.split(batches, self.process.world, axis=1)[self.process.rank].ravel()
        return iter((self.epoch * self.length + own[skip // self.process.world :]).tolist())

    def __len__(self) -> int:
        """Examples of a whole epoch in this process; the trainer counts the skipped ones as done."""
        return self.length // self.batch_size * (self.batch_size // self.process.world)


def check_divisible(batch_size: int, frames: Mapping[str, int], world: int) -> None:
    """Check that `world` processes can share the batches.

    Args:
        batch_size: over all processes.
        frames: number of frames by the name of the evaluation; 0 means that there is none.

    Raises:
        InputError: the batch size is not divisible, or there are fewer frames than processes.
    """
    if batch_size % world:
        raise InputError(
            f"data.batch_size={batch_size} does not divide by the {world} processes that share each batch: choose a "
            f"multiple of {world}"
        )
    for name, number in frames.items():
        if 0 < number < world:
            raise InputError(
                f"{number} {name} frames are fewer than the {world} processes: lower trainer.devices"
            )


class InterleavedEvalSampler(Sampler[int]):
    """Batches in order, assigned to the processes in turn; each example exactly once, the last batch may be smaller.

    `cardpose.common.distributed.collectives.all_gather_interleaved` restores the order. torch's DistributedSampler
    repeats examples to give every process the same number, which would count them twice in the metrics.

    Args:
        length: number of examples, at least one per process.
        batch_size: of each process, see `eval_batch_size`.
        process: rank of this process.
    """

    def __init__(self, length: int, batch_size: int, process: ProcessRank) -> None:
        starts = range(process.rank * batch_size, length, process.world * batch_size)
        self.own = [i for start in starts for i in range(start, min(start + batch_size, length))]

    def __iter__(self) -> Iterator[int]:
        return iter(self.own)

    def __len__(self) -> int:
        return len(self.own)


def eval_batch_size(length: int, batch_size: int, world: int) -> int:
    """The part of `batch_size` of each process, lowered if a process would get no batch: all have to stay in step.

    >>> eval_batch_size(39, 16, world=1), eval_batch_size(39, 16, world=2), eval_batch_size(10, 16, world=8)
    (16, 8, 1)
    """
    return batch_size if world == 1 else max(1, min(batch_size, length) // world)


def resume_position(trainer: Trainer) -> tuple[int, int]:
    """Where training continues: the epoch, and how many of its batches are already done.

    On a resume, Lightning makes the loader's iterator, which prefetches, before it sets the epoch of the sampler; after
    an interruption within an epoch it starts the loader from the beginning. So the sampler has to know both numbers
    before. They come from the restored progress of the loops, as far as the weights have seen: an epoch whose last
    batch is processed is over, even if the checkpoint was written before Lightning counted it.
    """
    epochs, batches = trainer.fit_loop.epoch_progress.current, trainer.fit_loop.epoch_loop.batch_progress
    if batches.is_last_batch or epochs.started == 0:
        return epochs.started, 0
    return epochs.started - 1, batches.current.processed


class ResumableDataLoader(DataLoader):
    """Tells Lightning, which warns otherwise, that the loader continues within an epoch.

    There is no state to save: the position comes from `resume_position`.
    """

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        pass
