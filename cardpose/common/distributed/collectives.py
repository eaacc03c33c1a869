"""Collective operations of the processes that train one model together, one for each device.

With one process every function is the identity. With several, all of them must call it at the same place: the others
wait for one that does not.
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


def _distributed() -> bool:
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def gather(mine: T) -> list[T]:
    """The values of all ranks, in rank order; anything that can be pickled, tensors on the CPU."""
    if not _distributed():
        return [mine]
    everyone: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(everyone, mine)
    return everyone


def all_gather_interleaved(mine: Sequence[T]) -> list[T]:
    """The items of all ranks, interleaved: the first of each rank, then the second of each.

    >>> all_gather_interleaved(["a", "b"])
    ['a', 'b']
    >>> interleave([["a", "c", "e"], ["b", "d"]])
    ['a', 'b', 'c', 'd', 'e']
    """
    return interleave(gather(mine))


def interleave(parts: Iterable[Sequence[T]]) -> list[T]:
    """The first item of each part, then the second of each; parts may differ in length."""
    nothing = object()
    items: Iterable[Any] = chain.from_iterable(zip_longest(*parts, fillvalue=nothing))
    return [item for item in items if item is not nothing]


def broadcast(tensors: Iterable[Tensor]) -> None:
    """Overwrite `tensors` with those of rank 0."""
    if _distributed():
        for tensor in tensors:
            dist.broadcast(tensor, src=0)


def cpu_group() -> Any:
    """A process group over gloo for `any_rank`, which does not wait for a GPU's queue of work; None for one process."""
    return dist.new_group(backend="gloo") if _distributed() else None


def any_rank(mine: bool, group: Any) -> bool:
    """Whether `mine` is true on one of the ranks of `group`, see `cpu_group`."""
    if group is None:
        return mine
    flag = torch.tensor(int(mine))
    dist.all_reduce(flag, dist.ReduceOp.MAX, group=group)
    return bool(flag)
