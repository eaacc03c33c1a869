"""The processes that train one model together, one a device: what they tell each other. Which this is: ranks.py.

Where there is one, every function here is the identity. With several, all of them call it at the same place: one that
does not leaves the others waiting.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

T = TypeVar("T")


@dataclass(frozen=True)
class ProcessRank:
    """Process `rank` of `world`."""

    rank: int
    world: int


SINGLE_PROCESS = ProcessRank(rank=0, world=1)


def _together() -> bool:
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def gather(mine: T) -> list[T]:
    """What each of the processes has, in their order; anything that can be pickled, tensors on the CPU."""
    if not _together():
        return [mine]
    everyone: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(everyone, mine)
    return everyone


def all_gather_interleaved(mine: Sequence[T]) -> list[T]:
    """The batches of all processes in the order in which they were dealt: one to each, then the next to each.

    >>> all_gather_interleaved(["a", "b"])
    ['a', 'b']
    >>> interleave([["a", "c", "e"], ["b", "d"]])
    ['a', 'b', 'c', 'd', 'e']
    """
    return interleave(gather(mine))


def interleave(parts: Iterable[Sequence[T]]) -> list[T]:
    """The first of each part, then the second of each, as far as they go."""
    nothing = object()
    dealt: Iterable[Any] = chain.from_iterable(zip_longest(*parts, fillvalue=nothing))
    return [item for item in dealt if item is not nothing]


def broadcast(tensors: Iterable[Tensor]) -> None:
    """Overwrite `tensors` with those of the first process."""
    if _together():
        for tensor in tensors:
            dist.broadcast(tensor, src=0)


class Agreement:
    """Lets the processes agree. Over gloo, on the CPU: a GPU's queue of work is not waited for."""

    def __init__(self) -> None:
        self._group = dist.new_group(backend="gloo") if _together() else None

    def any(self, mine: bool) -> bool:
        """Whether one of them says so."""
        if self._group is None:
            return mine
        said = torch.tensor(int(mine))
        dist.all_reduce(said, dist.ReduceOp.MAX, group=self._group)
        return bool(said)
