"""Clips to a folder: parallel over processes, resumable, and recognised when it is done."""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from signal import SIG_IGN, SIGINT, signal
from typing import Any, Protocol

import cv2
import numpy as np

from cardpose.common.errors import InputError
from cardpose.common.packet import CARDS_PER_DECK, MAX_CARDS, Annotation
from cardpose.synth.records import Clip
from cardpose.synth.rendering.labels import annotate
from cardpose.synth.rendering.render import RENDERER, Renderer
from cardpose.synth.sampling import pictures
from cardpose.synth.sampling.distributions import SceneConfig
from cardpose.synth.sampling.scene import sample_clip, sample_shot

SETTINGS = "synthetic.json"


class Writer(Protocol):
    """A video that takes frames, (height, width, 3) uint8 RGB, at their time in seconds."""

    def write(self, image: np.ndarray, timestamp: float) -> None: ...


OpenVideo = Callable[[Path, int, int, float], AbstractContextManager[Writer]]
"""Opens a video for writing from path, width, height and rate: whole or absent; picklable for the workers."""


@dataclass(frozen=True)
class Footage:
    """What is filmed. The same footage gives the same frames and labels, on any number of workers.

    Args:
        scene: the distributions.
        clips: how many.
        frames_per_clip: of each clip.
        counts: cards of the clips, taken in turn; None spreads 1 to 52 over the clips.
        seed: another seed gives other scenes.
        width, height: even numbers of pixels.
        rate: frames a second.

    Raises:
        InputError: a number that is out of its range.
    """

    scene: SceneConfig
    clips: int
    frames_per_clip: int
    counts: Sequence[int] | None
    seed: int
    width: int
    height: int
    rate: float

    def __post_init__(self) -> None:
        for name in ("clips", "frames_per_clip", "rate"):
            if not getattr(self, name) > 0:
                raise InputError(f"{name}={getattr(self, name)}: write a number above 0")
        for name in ("width", "height"):
            if not 64 <= getattr(self, name) <= 4096 or getattr(self, name) % 2:
                raise InputError(f"{name}={getattr(self, name)}: write an even number from 64 to 4096")
        if self.seed < 0:
            raise InputError(f"seed={self.seed}: write 0 or more")
        if self.counts is not None and len(self.counts) == 0:
            raise InputError("counts=[]: name at least one count, or write null for 1 to 52")
        for count in self.counts or ():
            if not (isinstance(count, int) and 1 <= count <= MAX_CARDS):
                raise InputError(f"counts: {count!r} is no count: write whole numbers from 1 to {MAX_CARDS}")

    def cards(self, number: int) -> int:
        """The count of clip `number`."""
        if self.counts is not None:
            return self.counts[number % len(self.counts)]
        if self.clips >= CARDS_PER_DECK:
            return number % CARDS_PER_DECK + 1
        return 1 + round(number * (CARDS_PER_DECK - 1) / max(self.clips - 1, 1))

    def file(self, number: int) -> str:
        """The name of clip `number` in the dataset folder."""
        return f"videos/{number:04d}.mp4"

    def clip(self, number: int) -> Clip:
        return sample_clip(
            self.scene,
            seed=self.seed,
            number=number,
            cards=self.cards(number),
            frames=self.frames_per_clip,
            rate=self.rate,
            width=self.width,
            height=self.height,
        )

    def annotations(self) -> Iterator[Annotation]:
        """The labels of all frames, in order; needs no rendering."""
        for number in range(self.clips):
            clip = self.clip(number)
            for index in range(clip.frames):
                yield annotate(clip, sample_shot(clip, index), self.file(number))

    def settings(self) -> dict[str, Any]:
        """All that the frames and labels depend on, as JSON holds it."""
        folders = [part.pictures for part in (self.scene.back, self.scene.table) if part.pictures]
        sums = {folder: pictures.digest(folder) for folder in folders}
        return json.loads(json.dumps({"renderer": RENDERER, "pictures": sums, **asdict(self)}))


def render_clip(footage: Footage, root: Path, open_video: OpenVideo, number: int) -> int:
    """Render one clip into `root`; returns its number."""
    clip = footage.clip(number)
    renderer = Renderer(clip)
    with open_video(root / footage.file(number), clip.width, clip.height, clip.rate) as video:
        for index in range(clip.frames):
            shot = sample_shot(clip, index)
            video.write(renderer.frame(shot), shot.timestamp)
    return number


def claim(footage: Footage, root: Path) -> None:
    """Make `root` the place of this footage, or see that it is.

    Raises:
        InputError: it holds something else, or footage of other settings.
    """
    path = root / SETTINGS
    if path.exists():
        differing = _differing(_read_settings(path), footage.settings())
        if differing:
            raise InputError(
                f"{path}: rendered with another {', '.join(differing)}: choose another folder or remove it"
            )
        return
    if root.exists() and (not root.is_dir() or any(not item.name.startswith(".") for item in root.iterdir())):
        raise InputError(f"{root}: holds something other than synthetic footage: choose another folder")
    root.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        temporary.write_text(json.dumps(footage.settings(), indent=2) + "\n")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _read_settings(path: Path) -> dict[str, Any]:
    try:
        settings = json.loads(path.read_text())
    except ValueError:
        settings = None
    if not isinstance(settings, dict):
        raise InputError(f"{path}: is damaged: choose another folder or remove this one")
    return settings


def _differing(have: dict[str, Any], want: dict[str, Any]) -> list[str]:
    """The top-level settings in which two folders differ."""
    return [key for key in sorted({*have, *want}) if have.get(key) != want.get(key)]


def missing(footage: Footage, root: Path) -> list[int]:
    """The clips that are still to be rendered."""
    return [number for number in range(footage.clips) if not (root / footage.file(number)).is_file()]


def generate(footage: Footage, root: Path, open_video: OpenVideo, workers: int) -> Iterator[int]:
    """Render the missing clips into `root`, which the caller has claimed; yields the number of each one done.

    After an exception, Ctrl-C included, the clips that are done stay; those being rendered leave nothing.
    """
    for stale in (root / "videos").glob(".*.partial"):  # of a run that was killed
        stale.unlink()
    render, numbers = partial(render_clip, footage, root, open_video), missing(footage, root)
    if workers == 1:
        yield from map(render, numbers)
        return
    with ProcessPoolExecutor(workers, get_context("spawn"), _quiet_worker) as pool:
        waiting: list[Future[int]] = [pool.submit(render, number) for number in numbers]
        try:
            for done in as_completed(waiting):
                yield done.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _quiet_worker() -> None:
    """One core a worker; Ctrl-C is the parent's to handle, so that a worker ends its clip."""
    cv2.setNumThreads(1)
    signal(SIGINT, SIG_IGN)
