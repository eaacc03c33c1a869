"""What metrics over whole sets are made of: all that was said of the frames, of every process, in their order."""

from collections.abc import Iterator

import torch
from torch import Tensor
from torchmetrics import Metric

from cardpose.common.distributed.collectives import all_gather_interleaved


class GatherMetric(Metric):
    """Keeps the tensors of every update; a subclass names them, in the order of `update`'s arguments.

    It gathers those of the other processes itself: torchmetrics would put one process's frames behind another's, and
    only inside `compute`.
    """

    full_state_update = False
    names: tuple[str, ...]

    def __init__(self) -> None:
        super().__init__(sync_on_compute=False)
        for name in self.names:
            self.add_state(name, default=[], dist_reduce_fx="cat")

    def update(self, *values: Tensor) -> None:
        for name, value in zip(self.names, values, strict=True):
            getattr(self, name).append(value.detach())

    def gathered(self) -> Iterator[Tensor]:
        """Each state over all updates of all processes, in the order of the frames, on the CPU, floats as float64."""
        updates = zip(*([value.cpu() for value in getattr(self, name)] for name in self.names), strict=True)
        for values in zip(*all_gather_interleaved(list(updates)), strict=True):
            value = torch.cat(values)
            yield value.double() if value.is_floating_point() else value
