"""Spatial models: heatmaps corrected by where the other corners are (conf/spatial).

NoSpatial       the heatmaps as they are
GraphicalModel  learned priors of each corner given each other one, by message passing
BoxPrior        the reprojection of the box fitted to the peaks

Adding a new one: a class here with the members of `Spatial`, and a file in conf/spatial that names it as `_target_`.
It must export to ONNX: tensor operations only.
"""

from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cardpose.common.errors import InputError
from cardpose.common.packet import NUM_CORNERS
from cardpose.geometry.box_fit import project
from cardpose.models.head import camera, fit_peaks
from cardpose.models.heatmaps import image_to_heatmap

FLOOR = 1e-6
"""Lower bound of what a logarithm is taken of."""
PAIRS = [(given, corner) for given in range(NUM_CORNERS) for corner in range(NUM_CORNERS) if given != corner]
"""(given, corner) of each message, numbers in `packet.CORNERS`."""


class Spatial(Protocol):
    """A spatial model.

    Attributes:
        changes: False: it is not called.
        joint: whether the network is trained with it; False: the network keeps its weights.
    """

    changes: bool
    joint: bool

    def __call__(self, heatmaps: Tensor) -> Tensor:
        """Heatmaps (B, 8, h, w) float32 -> corrected ones, same shape."""


class NoSpatial:
    """The heatmaps as they are."""

    changes, joint = False, True

    def __call__(self, heatmaps: Tensor) -> Tensor:
        return heatmaps


class GraphicalModel(nn.Module):
    """Each heatmap times what all others say about its corner.

    Source: Tompson et al. 2014, Joint Training of a Convolutional Network and a Graphical Model for Human Pose
    Estimation, NIPS, https://arxiv.org/abs/1406.2984, section 3.2:

        log e'(A) = log ReLU(e(A)) + sum over v of log(SoftPlus(k(A|v)) * ReLU(e(v)) + SoftPlus(b(v -> A)))

    with a convolution `*` whose kernel k(A|v) is the prior of the offset from v to A. Three things differ. A prior of a
    corner given itself is the identity. The sum over v is shifted so that its maximum over the map is log 1 (the
    paper's Z, which it leaves out): heights of peaks keep their meaning. And messages are passed on maps pooled by
    `pool`, which divides the cost by its fourth power; 1 is the paper's.

    Args:
        size: (H, W) of the network's image.
        stride: of the heatmaps.
        pool: heatmap pixels, across and down, per pixel of the messages.
        background: value of a message where no corner is expected, at the start.
        joint: see `Spatial`.

    Raises:
        InputError: a value out of range.
    """

    changes = True
    kernels: nn.Parameter
    sums: Tensor

    def __init__(
        self, size: tuple[int, int], stride: int, pool: int, background: float, joint: bool = True
    ) -> None:
        super().__init__()
        if not isinstance(pool, int) or pool < 1:
            raise InputError(f"spatial.pool={pool}: choose a whole number from 1")
        if not background > 0:
            raise InputError(f"spatial.background={background}: choose a number above 0")
        self.stride, self.pool, self.joint = stride, pool, check_bool("joint", joint)
        rows, columns = (-(-side // (stride * pool)) for side in size)
        # Any offset within the map; 1 over the number of offsets each until there are labels.
        shape = len(PAIRS), 1, 2 * rows - 1, 2 * columns - 1
        self.kernels = nn.Parameter(_inverse_softplus(torch.full(shape, 1.0 / (rows * columns))))
        self.background = nn.Parameter(_inverse_softplus(torch.full((len(PAIRS),), float(background))))
        sums = torch.zeros(NUM_CORNERS, len(PAIRS), 1, 1)
        for pair, (_, corner) in enumerate(PAIRS):
            sums[corner, pair] = 1.0
        self.register_buffer("sums", sums, persistent=False)

    def forward(self, heatmaps: Tensor) -> Tensor:
        """See `Spatial`."""
        with torch.autocast(heatmaps.device.type, enabled=False):
            own = heatmaps.relu()
            pooled = F.max_pool2d(own, self.pool, ceil_mode=True) if self.pool > 1 else own
            context = F.conv2d(self.messages(pooled).clamp_min(FLOOR).log(), self.sums)
            if self.pool > 1:
                context = F.interpolate(context, scale_factor=float(self.pool), mode="bilinear")
                context = context[..., : own.shape[-2], : own.shape[-1]]
            context = context - context.amax((2, 3), keepdim=True)
            return own * context.exp()

    def messages(self, maps: Tensor) -> Tensor:
        """Non-negative maps (B, 8, h, w) -> evidence of each for each other corner (B, 56, h, w), order of `PAIRS`."""
        kernels = F.softplus(self.kernels)
        padding = kernels.shape[-2] // 2, kernels.shape[-1] // 2
        # Convolutions, not correlations: flipped. Eight groups of seven messages.
        sent = F.conv2d(maps, kernels.flip(2, 3), padding=padding, groups=NUM_CORNERS)
        return sent + F.softplus(self.background)[:, None, None]

    @torch.no_grad()
    def start_from(self, corners: Tensor, known: Tensor) -> None:
        """Set the priors to the offsets of labelled corners: their histogram, blurred by one pixel.

        Args:
            corners: (N, 8, 2) in pixels of the network's image.
            known: (N, 8) bool.
        """
        at = image_to_heatmap(corners, self.stride * self.pool)
        height, width = self.kernels.shape[-2:]
        middle = torch.tensor([width // 2, height // 2])
        blur = torch.tensor([0.25, 0.5, 0.25])
        kernels = torch.zeros_like(self.kernels)
        for pair, (given, corner) in enumerate(PAIRS):
            both = known[:, given] & known[:, corner]
            cell = (at[both, corner] - at[both, given]).round().long() + middle
            cell = cell[((cell >= 0) & (cell < torch.tensor([width, height]))).all(-1)]
            kernels[pair, 0].index_put_((cell[:, 1], cell[:, 0]), torch.ones(()), accumulate=True)
            kernels[pair] /= max(1, len(cell))
        kernels = F.conv2d(kernels, (blur[:, None] * blur)[None, None], padding=1)
        self.kernels.copy_(_inverse_softplus(kernels))


class BoxPrior:
    """Heatmaps weighted down away from the corners of the box that fits their peaks.

    The weight is 1 on the reprojected corner, 1/2 at the distance `reach`, and flat in between, so that a peak keeps
    its place. Where the peaks determine no box the heatmaps stay. No gradient flows through the box.

    Args:
        found, tolerance: see `cardpose.models.head.fit_peaks`.
        reach: in image widths.

    Raises:
        InputError: `reach` is not above 0.
    """

    changes, joint = True, True

    def __init__(self, found: float, tolerance: float, reach: float) -> None:
        if not reach > 0:
            raise InputError(f"spatial.reach={reach}: choose a number above 0")
        self.found, self.tolerance, self.reach = found, tolerance, reach

    def __call__(self, heatmaps: Tensor) -> Tensor:
        with torch.autocast(heatmaps.device.type, enabled=False):
            return heatmaps * self.weights(heatmaps.detach())

    def weights(self, heatmaps: Tensor) -> Tensor:
        """(B, 8, h, w) from 0 to 1."""
        height, width = heatmaps.shape[-2:]
        box, _ = fit_peaks(heatmaps, self.found, self.tolerance)
        expected = project(box, *camera(heatmaps))  # (B, 8, 2)
        expected = torch.where(box.determined[:, None, None], expected, 0.0)
        rows = torch.arange(height, device=heatmaps.device, dtype=torch.float32)[:, None]
        columns = torch.arange(width, device=heatmaps.device, dtype=torch.float32)
        x, y = expected[..., 0, None, None], expected[..., 1, None, None]
        away = ((columns - x).square() + (rows - y).square()) / (self.reach * width) ** 2
        return torch.where(box.determined[:, None, None, None], 1 / (1 + away.square()), 1.0)


def check_bool(name: str, value: bool) -> bool:
    """Return `value`; raise an `InputError` unless it is a bool."""
    if not isinstance(value, bool):
        raise InputError(f"spatial.{name}={value}: choose true or false")
    return value


def _inverse_softplus(value: Tensor) -> Tensor:
    """x with softplus(x) = value, which is bounded below so that a gradient is left."""
    return value.clamp_min(1e-4).expm1().log()
