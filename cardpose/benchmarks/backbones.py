"""Parameters and speed of the networks of conf/model: `python -m cardpose.bench benchmarks=[backbones]`."""

import logging
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from hydra import compose
from omegaconf import DictConfig

from cardpose.benchmarks.cost import cost
from cardpose.benchmarks.timing import Timing, measure
from cardpose.benchmarks.training import step_of
from cardpose.common.errors import InputError, MissingExtra
from cardpose.common.hydra_entry import CONF, plain
from cardpose.common.threads import one_torch_thread
from cardpose.deploy import onnx_model
from cardpose.deploy.graph import trace
from cardpose.models.from_config import build_net, end_to_end
from cardpose.models.session import open_session
from cardpose.models.unet import UNet
from cardpose.training import hardware

IMAGES = 8
"""Images through a network in a repeat."""

log = logging.getLogger(__name__)


def bench_backbones(cfg: DictConfig) -> Iterator[Timing]:
    """Each conf/model choice on the CPU and one thread: images one at a time, also in ONNX Runtime, and training steps.

    The ONNX files, which include decoding and box, are left out with a warning where the extra "onnx" is not installed.
    """
    memory_format = hardware.choose_memory_format(cfg.trainer.memory_format)
    image = torch.randn(1, 3, *cfg.data.size).contiguous(memory_format=memory_format)
    exports = has_onnx()
    with one_torch_thread():
        for name, chosen, net in choices(cfg):
            net.to(memory_format=memory_format)  # type: ignore[call-overload]
            parameters, multiply_adds = cost(net, image)

            def forward(net: UNet = net) -> None:
                with torch.inference_mode():
                    for _ in range(IMAGES):
                        net(image)

            label = f"{name}, {parameters / 1e6:.2f} M, {multiply_adds / 1e9:.3f} GMAC"
            yield measure(f"backbones, {label}", "images/s", IMAGES, forward, cfg.warmup, cfg.repeats)
            step = step_of(chosen, cfg.trainer.memory_format, hardware.choose_precision("cpu"))
            label = f"backbones, {name}, training"
            yield measure(label, "images/s", cfg.data.batch_size, step, cfg.warmup, cfg.repeats)
            if exports:
                run = onnx_runner(chosen)
                yield measure(f"backbones, {name}, ONNX", "images/s", IMAGES, run, cfg.warmup, cfg.repeats)


def has_onnx() -> bool:
    """Whether networks can be exported; a warning where not."""
    try:
        onnx_model.require()
    except InputError:
        log.warning('ONNX Runtime left out: pip install -e ".[onnx]"')
        return False
    return True


def onnx_runner(cfg: DictConfig) -> Callable[[], None]:
    """A function that sends `IMAGES` images, one at a time, through the exported network of `cfg`."""
    size = tuple(cfg.data.size)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "network.onnx")
        network = end_to_end(plain(cfg)).eval()
        onnx_model.write(trace(network, size), path, {}, "float32", [], compact=True)
        session = open_session(path)
    image = np.zeros((1, 3, *size), np.uint8)

    def run() -> None:
        for _ in range(IMAGES):
            session.run(None, {session.get_inputs()[0].name: image})

    return run


def choices(cfg: DictConfig) -> Iterator[tuple[str, DictConfig, UNet]]:
    """Every choice of conf/model: its name, `cfg` with it on the CPU, and its network with random weights.

    Needs an initialised Hydra. A choice whose library is not installed is left out with a warning.

    Raises:
        InputError: what is wrong of any other choice.
    """
    for file in sorted((CONF / "model").glob("[!_]*.yaml")):
        chosen = cfg.copy()
        chosen.model = compose("bench", [f"model={file.stem}"]).model
        chosen.trainer.accelerator = "cpu"
        try:
            net = build_net(plain(chosen), trained=True).eval()
        except MissingExtra as error:
            log.warning("%s left out: %s", file.stem, error)
            continue
        yield file.stem, chosen, net
