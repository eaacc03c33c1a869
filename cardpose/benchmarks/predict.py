"""Prediction speed: `python -m cardpose.bench benchmarks=[predict]`."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import numpy as np
import torch
from omegaconf import DictConfig

from cardpose.benchmarks.timing import Timing, measure
from cardpose.common.hydra_entry import plain
from cardpose.common.threads import one_torch_thread
from cardpose.data.footage.video_writer import VideoWriter
from cardpose.models import checkpoints
from cardpose.models.from_config import build_net
from cardpose.prediction.output_folder import PredictionFolder
from cardpose.prediction.pipeline import PredictionPipeline
from cardpose.prediction.predictor import Predictor
from cardpose.prediction.sources import VideoSource

FRAMES, WIDTH, HEIGHT = 192, 640, 480
BATCH = 16
FIRST = """
import sys, numpy
from cardpose.inference import Predictor
Predictor.from_checkpoint(sys.argv[1])(numpy.zeros((480, 640, 3), numpy.uint8))
"""


class Silent:
    """Shows no progress."""

    def print(self, line: str) -> None: ...

    def advance(self, count: int = 1) -> None: ...


def bench_predict(cfg: DictConfig) -> Iterator[Timing]:
    """A clip through the stages of `cardpose.predict`, one by one and together, and the first prediction of a process.

    The network is `cfg.model` with random weights, on one thread, as where two cores are shared with decoding.
    """
    with one_torch_thread(), tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        predictor = Predictor.from_checkpoint(write_checkpoint(cfg, folder / "drawn.ckpt"))
        clip = write_clip(folder / "clip.mp4")
        runs = count()

        def decode() -> list[np.ndarray]:
            return [frame.image for frame in VideoSource(clip).frames()]

        prepared = [predictor.prepare(image) for image in decode()]

        def network() -> None:
            for start in range(0, FRAMES, BATCH):
                predictor.predict(prepared[start : start + BATCH])

        def both() -> None:
            with PredictionFolder(folder / f"out_{next(runs)}", {}, resume=False) as out:
                PredictionPipeline(predictor, out, {}, BATCH, Silent())([VideoSource(clip)])

        def first() -> None:
            subprocess.run([sys.executable, "-c", FIRST, str(folder / "drawn.ckpt")], check=True)

        for name, run in (("network alone", network), ("decoding alone", decode), ("end to end", both)):
            yield measure(f"predict, {name}", "frames/s", FRAMES, run, cfg.warmup, cfg.repeats)
        yield measure(
            "predict, a new process to its first frame", "starts/min", 60, first, cfg.warmup, cfg.repeats
        )


def write_checkpoint(cfg: DictConfig, path: Path) -> Path:
    """A checkpoint of `cfg.model` with random weights."""
    config = plain(cfg)
    weights = {f"net.{key}": value for key, value in build_net(config, trained=True).state_dict().items()}
    torch.save({"state_dict": weights, checkpoints.KEY: checkpoints.describe(config, {})}, path)
    return path


def write_clip(path: Path) -> Path:
    """A clip of `FRAMES` frames with the small movements of a hand-held camera."""
    table = np.random.default_rng(0).integers(60, 120, (HEIGHT // 8 + 8, WIDTH // 8 + 8, 3), np.uint8)
    table = table.repeat(8, axis=0).repeat(8, axis=1)
    with VideoWriter(path, WIDTH, HEIGHT, rate=30) as writer:
        for index in range(FRAMES):
            x, y = (round(16 + 15 * f(index / 20)) for f in (np.sin, np.cos))
            writer.write(table[y : y + HEIGHT, x : x + WIDTH])
    return path
