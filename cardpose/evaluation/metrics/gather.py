"""Base metric that concatenates per-frame states across processes, in dataset order."""

from collections.abc import Iterator

import torch
from torch import Tensor
from torchmetrics import Metric

from cardpose.common.distributed.collectives import all_gather_interleaved


class GatherMetric(Metric):
    """Keeps the tensors of every update; a subclass names them, in the order of `update`'s arguments.

    It does not use the synchronisation of torchmetrics, which appends the frames of one process to those of another
    (here they are interleaved, as in the dataset) and works only inside `compute`.
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
        """Each state over all updates of all processes, in dataset order, on the CPU, floats as float64."""
        updates = zip(*([value.cpu() for value in getattr(self, name)] for name in self.names), strict=True)
        for values in zip(*all_gather_interleaved(list(updates)), strict=True):
            value = torch.cat(values)
            yield value.double() if value.is_floating_point() else value
