"""Memory of a loader worker by the number of frames: `python -m cardpose.bench benchmarks=[memory]`.

own        dirty pages shared with no other process (Private_Dirty of /proc/<pid>/smaps_rollup): the cost of a worker
resident   all its pages in memory (Rss), most of them shared: libraries, and the heap of the process that it was forked
           from, which holds the label of each frame once for all workers
"""

import multiprocessing
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import mean, median
from typing import Any

import numpy as np
from omegaconf import DictConfig, OmegaConf

from cardpose.benchmarks.timing import Timing
from cardpose.common.errors import InputError
from cardpose.common.packet import Annotation
from cardpose.data.datamodule import CardDataModule
from cardpose.data.footage.folder import DatasetFolder, Video
from cardpose.data.splits import by_video
from cardpose.models import heatmaps
from cardpose.models.builder import build
from cardpose.synth.stream import SceneStream

SIZE = (48, 64)
"""Height and width of the frames: 9 kB each, so that 100,000 take 1 GB."""
VIDEO, RENDERED = 100, 40
"""Frames of a video, and frames that are rendered and repeated."""
MB = 1024


@dataclass(frozen=True)
class Memory:
    """Memory of a process in MB: its own dirty pages, and all resident ones."""

    own: float
    resident: float


def memory_of(pid: int) -> Memory:
    """Read /proc/<pid>/smaps_rollup.

    Raises:
        InputError: the system has none.
    """
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    except OSError as error:
        raise InputError(
            "benchmarks=[memory] reads /proc/<pid>/smaps_rollup, which Linux has: leave it out"
        ) from error
    kilobytes = {line.split(":")[0]: int(line.split()[1]) for line in lines}
    return Memory(kilobytes["Private_Dirty"] / MB, kilobytes["Rss"] / MB)


@dataclass(frozen=True)
class RepeatedFrames(DatasetFolder):
    """A dataset folder in memory: rendered frames, repeated."""

    images: Sequence[np.ndarray] = ()

    def read_frames(self, video: str, indices: Sequence[int]) -> Iterator[tuple[int, np.ndarray]]:
        yield from ((index, self.images[index % len(self.images)]) for index in indices)

    def fingerprint(self, video: str) -> str:
        return video


def repeated(root: str | Path, frames: int, stream: SceneStream) -> RepeatedFrames:
    """`frames` frames in videos of `VIDEO`, each with a label of its own, as read from a file."""
    rendered = [stream(index) for index in range(RENDERED)]
    videos = [Video(f"videos/{number}.mp4", number % 52 + 1, {}) for number in range(-(-frames // VIDEO))]
    annotations: list[Annotation] = []
    for number in range(frames):
        label, video = rendered[number % VIDEO % RENDERED][1], videos[number // VIDEO]
        annotations.append(
            replace(
                label,
                video=video.file,
                frame_index=number % VIDEO,
                cards=video.cards,
                corners=label.corners.copy(),
                visibility=label.visibility.copy(),
            )
        )
    return RepeatedFrames(Path(root), tuple(videos), tuple(annotations), {}, [image for image, _ in rendered])


def epochs_of(config: dict[str, Any], frames: int, epochs: int, start_method: str) -> list[Memory]:
    """Mean memory of the workers after each of `epochs` epochs; the workers are started by `start_method`."""
    multiprocessing.set_start_method(start_method, force=True)
    cfg = OmegaConf.create(config)
    stream = SceneStream(build(config["scene"], "scene"), SIZE, frames_per_clip=4, rate=1.0, seed=cfg.seed)
    with tempfile.TemporaryDirectory(dir=cfg.paths.cache) as folder:
        data = CardDataModule(
            name="memory",
            read=partial(repeated, frames=frames, stream=stream),
            root=folder,
            size=SIZE,
            stride=1,
            split=partial(by_video, folds=5, fold=0, val_videos=1),
            augment=build(config["augment"], "augment"),
            encode_heatmaps=partial(heatmaps.encode, size=SIZE, stride=4, sigma=1.0),
            cache_dir=folder,
            batch_size=cfg.data.batch_size,
            num_workers=cfg.data.num_workers or 1,
            seed=cfg.seed,
            mean=(0.5,) * 3,
            std=(0.5,) * 3,
        )
        data.prepare_data()
        data.setup("fit")
        loader = data.train_dataloader()
        seen = []
        for epoch in range(epochs):
            loader.sampler.set_epoch(epoch)  # type: ignore[attr-defined]
            for _ in loader:
                pass
            workers = [memory_of(worker.pid or 0) for worker in multiprocessing.active_children()]
            seen.append(Memory(mean(w.own for w in workers), mean(w.resident for w in workers)))
        return seen


def bench_memory(cfg: DictConfig) -> Iterator[Timing]:
    """Epochs over each number of frames in `cfg.frames`, each in a new process with an empty heap."""
    config: Any = OmegaConf.to_container(cfg, resolve=True)
    Path(cfg.paths.cache).mkdir(parents=True, exist_ok=True)
    context, own = multiprocessing.get_context("spawn"), multiprocessing.get_start_method()
    epochs = cfg.warmup + cfg.repeats
    for frames in cfg.frames:
        with ProcessPoolExecutor(1, mp_context=context) as pool:
            seen = pool.submit(epochs_of, config, frames, epochs, own).result()[cfg.warmup :]
        for what in ("own", "resident"):
            values = [getattr(memory, what) for memory in seen]
            name = f"memory {what}, {frames:,} frames"
            yield Timing(name, "MB", median(values), min(values), max(values))
