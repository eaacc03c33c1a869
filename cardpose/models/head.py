"""The count and visibility head."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cardpose.errors import InputError
from cardpose.heatmaps import decode
from cardpose.models.encoders import conv_block
from cardpose.packet import NUM_CORNERS

FOUND = 0.2
"""A peak below this height is no corner."""
MIN_FOUND = 3
"""With fewer corners there is no box."""
MARGIN = 0.15
"""Around the outermost peaks, on each side, in units of the box between them."""
MIN_SIDE = 0.02
"""Of a box, in units of the image: peaks on one line still span one."""


def packet_box(heatmaps: Tensor) -> Tensor:
    """The upright box around the peaks of (B, 8, h, w) maps, with a margin.

    Returns:
        (B, 2, 2): left, top; right, bottom; in units of the image's width and height, so that 0 to 1 is the whole
        image, which is also the box where hardly a corner is found.
    """
    height, width = heatmaps.shape[-2:]
    points, peak = decode(heatmaps, stride=1)
    points = (points + 0.5) / points.new_tensor([width, height])
    found = (peak > FOUND).unsqueeze(-1)  # (B, 8, 1)
    least = torch.where(found, points, 1.0).amin(1)
    most = torch.where(found, points, 0.0).amax(1)
    margin = (MARGIN * (most - least)).clamp_min(MIN_SIDE / 2)
    box = torch.stack([least - margin, most + margin], dim=1)
    whole = torch.stack([torch.zeros_like(least), torch.ones_like(most)], dim=1)
    return torch.where(found.sum(1, keepdim=True) >= MIN_FOUND, box, whole)


def crop(features: Tensor, box: Tensor, size: int) -> Tensor:
    """Resample a box of (B, C, h, w) features to (B, C, size, size), 0 well beyond the border.

    RoIAlign (He et al. 2017, https://arxiv.org/abs/1703.06870) with a triangle filter that widens where the box is
    shrunk, so that no pixel is skipped. Two matrix products: ONNX has them, their gradient is deterministic.

    Args:
        features: (B, C, h, w).
        box: (B, 2, 2) as `packet_box` returns it.
        size: rows and columns of the result.
    """
    rows = _triangles(box[:, :, 1], features.shape[-2], size).to(features.dtype)
    columns = _triangles(box[:, :, 0], features.shape[-1], size).to(features.dtype)
    return rows.unsqueeze(1) @ features @ columns.transpose(1, 2).unsqueeze(1)


def _triangles(ends: Tensor, pixels: int, size: int) -> Tensor:
    """Weights (B, size, pixels) that resample one axis between `ends` (B, 2), in units of the axis."""
    step = ((ends[:, 1:] - ends[:, :1]) * pixels / size).unsqueeze(-1)  # (B, 1, 1), in pixels
    places = torch.arange(size, device=ends.device) + 0.5
    centres = ends[:, :1, None] * pixels + places[:, None] * step - 0.5
    distance = (torch.arange(pixels, device=ends.device) - centres).abs()
    weights = (1 - distance / step.clamp_min(1)).clamp_min(0)
    return weights / weights.sum(-1, keepdim=True).clamp_min(1e-6)


class CountVisibilityHead(nn.Module):
    """Count and visibility from the pooled deepest features, and a close view of the packet.

    The close view is the box around the heatmaps' peaks, cut out of a finer feature map and of the heatmaps: the
    same size whatever the distance of the camera, and without the table, by which a video could be recognised.
    The heatmaps are detached here, so that the count teaches the encoder what to see but never bends the corners.

    Args:
        channels, strides: of the encoder's feature maps, finest first.
        stride: of the feature map that is viewed closely; one of `strides`.
        size: rows and columns of the view, a multiple of 4.
        widths: channels of the view's two convolutions.
        hidden: width of the hidden layer.
        dropout: on the hidden layer.

    Raises:
        InputError: `stride` is not among the encoder's.
    """

    def __init__(
        self,
        channels: Sequence[int],
        strides: Sequence[int],
        stride: int = 8,
        size: int = 16,
        widths: tuple[int, int] = (64, 96),
        hidden: int = 128,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if stride not in strides:
            raise InputError(
                f"model.head.stride={stride} is not a stride of the encoder's maps: choose "
                f"{' or '.join(map(str, strides))}"
            )
        self.level = list(strides).index(stride)
        self.size = size
        self.view = nn.Sequential(
            conv_block(channels[self.level] + NUM_CORNERS, widths[0], depth=1),
            nn.MaxPool2d(2),
            conv_block(widths[0], widths[1], depth=1),
            nn.AvgPool2d(2),
            nn.Flatten(),
        )
        self.layers = nn.Sequential(
            nn.Linear(channels[-1] + widths[1] * (size // 4) ** 2, hidden),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
            nn.Linear(hidden, 1 + NUM_CORNERS),
        )

    def forward(self, features: Sequence[Tensor], heatmaps: Tensor) -> tuple[Tensor, Tensor]:
        """Encoder's maps and heatmaps (B, 8, h, w) -> cards (B,), 1.0 = 52; visibility logits (B, 8)."""
        maps = heatmaps.detach()
        box = packet_box(maps)
        close = torch.cat([crop(layer, box, self.size) for layer in (features[self.level], maps)], dim=1)
        pooled = F.adaptive_avg_pool2d(features[-1], 1).flatten(1)
        out = self.layers(torch.cat([pooled, self.view(close)], dim=1)).float()
        return out[:, 0] + 0.5, out[:, 1:]  # starts in the middle of the range
