"""Work on single frames: `python -m cardpose.bench benchmarks=[render,geometry]`."""

from collections.abc import Iterator

import cv2
import numpy as np
from omegaconf import DictConfig

from cardpose.benchmarks.timing import Timing, measure
from cardpose.common.hydra_entry import plain
from cardpose.common.packet import NUM_CORNERS
from cardpose.geometry.boxes import fit_frames
from cardpose.models import builder
from cardpose.synth.records import Shot
from cardpose.synth.rendering.renderer import Renderer
from cardpose.synth.sampling.scene import sample_shot
from cardpose.synth.stream import SceneStream

CLIP, RENDERED = 4, 40
"""Synthetic frames of a clip, and of a repeat."""
FITTED, FRAME = 500, (640, 480)
"""Frames of a fit of boxes, and their width and height."""


def bench_geometry(cfg: DictConfig) -> Iterator[Timing]:
    """Boxes fitted to corners in float64, for many frames at once and for one."""
    rng = np.random.default_rng(cfg.seed)
    size = np.array(FRAME, np.float64)
    corners = rng.uniform(0.2, 0.8, (FITTED, NUM_CORNERS, 2)) * size
    for count in (FITTED, 1):
        frames = corners[:count], np.ones((count, NUM_CORNERS)), np.tile(size, (count, 1))

        def fit(frames: tuple[np.ndarray, np.ndarray, np.ndarray] = frames) -> None:
            fit_frames(*frames)

        label = f"geometry, {count} at once"
        yield measure(label, "frames/s", count, fit, cfg.warmup, cfg.repeats)


def bench_render(cfg: DictConfig) -> Iterator[Timing]:
    """Synthetic frames on one core, without and with the setup of each clip of `CLIP` frames."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    scene = builder.build(plain(cfg)["scene"], "scene")
    for width, height in ((256, 192), (640, 480)):
        stream = SceneStream(scene, (height, width), CLIP, rate=1.0, seed=cfg.seed)
        for index in range(0, RENDERED, CLIP):  # the tables' tiles are made once a process
            stream(index)
        clip, renderer = stream.clip(0)
        shots = [sample_shot(clip, index) for index in range(RENDERED)]

        def frames(renderer: Renderer = renderer, shots: list[Shot] = shots) -> None:
            for shot in shots:
                renderer.frame(shot)

        def clips(stream: SceneStream = stream) -> None:
            for index in range(RENDERED):
                stream(index)

        size = f"{width}x{height}"
        yield measure(f"render, {size}, frames", "frames/s", RENDERED, frames, cfg.warmup, cfg.repeats)
        yield measure(f"render, {size}, clips too", "frames/s", RENDERED, clips, cfg.warmup, cfg.repeats)
    cv2.setNumThreads(threads)
