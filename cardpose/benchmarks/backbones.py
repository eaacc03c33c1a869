"""Parameters and speed of the networks of conf/model: `python -m cardpose.bench benchmarks=[backbones]`."""

import logging
from collections.abc import Iterator

import torch
from hydra import compose
from omegaconf import DictConfig
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from cardpose.benchmarks.timing import Timing, measure
from cardpose.common.errors import MissingExtra
from cardpose.common.hydra_entry import CONF, plain
from cardpose.common.threads import one_torch_thread
from cardpose.models.from_config import build_net
from cardpose.models.unet import UNet
from cardpose.training import hardware

IMAGES = 8
"""Images through a network in a repeat."""

log = logging.getLogger(__name__)


def bench_backbones(cfg: DictConfig) -> Iterator[Timing]:
    """One image at a time through the network of each conf/model choice, on the CPU and one thread."""
    memory_format = hardware.choose_memory_format(cfg.trainer.memory_format)
    image = torch.randn(1, 3, *cfg.data.size).contiguous(memory_format=memory_format)
    with one_torch_thread():
        for name, net in networks(cfg):
            net.to(memory_format=memory_format)  # type: ignore[call-overload]
            parameters, multiply_adds = cost(net, image)

            def forward(net: UNet = net) -> None:
                with torch.inference_mode():
                    for _ in range(IMAGES):
                        net(image)

            label = f"backbones, {name}, {parameters / 1e6:.2f} M, {multiply_adds / 1e9:.3f} GMAC"
            yield measure(label, "images/s", IMAGES, forward, cfg.warmup, cfg.repeats)


def networks(cfg: DictConfig) -> Iterator[tuple[str, UNet]]:
    """Every choice of conf/model with its network, random weights, otherwise as in `cfg`; needs an initialised Hydra.

    A choice whose library is not installed is left out with a warning.

    Raises:
        InputError: what is wrong of any other choice.
    """
    for file in sorted((CONF / "model").glob("[!_]*.yaml")):
        chosen = cfg.copy()
        chosen.model = compose("bench", [f"model={file.stem}"]).model
        try:
            yield file.stem, build_net(plain(chosen), trained=True).eval()
        except MissingExtra as error:
            log.warning("%s left out: %s", file.stem, error)


def cost(net: UNet, image: Tensor) -> tuple[int, int]:
    """Parameters, and multiply-adds of the convolutions and matrix products for `image`.

    >>> convolution = torch.nn.Conv2d(3, 8, 3, padding=1, bias=False)
    >>> cost(convolution, torch.zeros(1, 3, 10, 10)) == (3 * 8 * 9, 3 * 8 * 9 * 100)
    True
    """
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        net(image)
    return sum(parameter.numel() for parameter in net.parameters()), counter.get_total_flops() // 2
