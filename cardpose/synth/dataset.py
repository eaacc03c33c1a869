"""Synthetic footage as a dataset folder: rendered in parallel, resumable, recognised when it is complete."""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np

from cardpose.common.errors import InputError
from cardpose.common.files import replace_file, write_errors
from cardpose.common.locks import wait_for
from cardpose.common.packet import CARDS_PER_DECK, Annotation
from cardpose.common.progress import ProgressBar
from cardpose.common.subprocesses import start_worker, starting_workers
from cardpose.common.threads import cores
from cardpose.data.footage.folder import DatasetFolder, Video, write_folder
from cardpose.data.footage.video_writer import VideoWriter
from cardpose.models import migrations
from cardpose.synth.records import Clip
from cardpose.synth.rendering.labels import annotate
from cardpose.synth.rendering.renderer import VERSION, Renderer
from cardpose.synth.sampling import pictures
from cardpose.synth.sampling.distributions import SceneConfig
from cardpose.synth.sampling.scene import check_counts, sample_clip, sample_shot

SETTINGS = "synthetic.json"
LABELS = ("videos.csv", "annotations.json")  # written last


class Writer(Protocol):
    """Takes frames (height, width, 3) uint8 RGB with their time in seconds."""

    def write(self, image: np.ndarray, timestamp: float) -> None: ...


OpenVideo = Callable[[Path, int, int, float], AbstractContextManager[Writer]]
"""Opens a video for writing from path, width, height and frame rate; the file is complete or absent. Picklable."""


@dataclass(frozen=True)
class Footage:
    """How much is rendered. Equal footage gives equal frames and labels, with any number of workers.

    Args:
        scene: the distributions.
        clips: number of clips.
        frames_per_clip: frames of each clip.
        counts: counts of the clips, used in turn; None spreads 1 to 52 over the clips.
        seed: of the scenes.
        width, height: of the frames in pixels, even.
        rate: frames per second.
        second: the distributions of every second run of 52 clips; None: as `scene`.

    Raises:
        InputError: a number is out of range.
    """

    scene: SceneConfig
    clips: int
    frames_per_clip: int
    counts: Sequence[int] | None
    seed: int
    width: int
    height: int
    rate: float
    second: SceneConfig | None = None

    def __post_init__(self) -> None:
        for name in ("clips", "frames_per_clip", "rate"):
            if not getattr(self, name) > 0:
                raise InputError(f"{name}={getattr(self, name)}: choose a number above 0")
        for name in ("width", "height"):
            if not 64 <= getattr(self, name) <= 4096 or getattr(self, name) % 2:
                raise InputError(f"{name}={getattr(self, name)}: choose an even number from 64 to 4096")
        if self.seed < 0:
            raise InputError(f"seed={self.seed}: choose a whole number from 0")
        check_counts(self.counts, "counts")

    def cards(self, number: int) -> int:
        """The count of clip `number`."""
        if self.counts is not None:
            return self.counts[number % len(self.counts)]
        if self.clips >= CARDS_PER_DECK:
            return number % CARDS_PER_DECK + 1
        return 1 + round(number * (CARDS_PER_DECK - 1) / max(self.clips - 1, 1))

    def file(self, number: int) -> str:
        """The path of clip `number` in the dataset folder."""
        return f"videos/{number:04d}.mp4"

    def clip(self, number: int) -> Clip:
        """Sample clip `number`."""
        return sample_clip(
            self.second if self.second and number // CARDS_PER_DECK % 2 else self.scene,
            seed=self.seed,
            number=number,
            cards=self.cards(number),
            frames=self.frames_per_clip,
            rate=self.rate,
            width=self.width,
            height=self.height,
        )

    def annotations(self) -> Iterator[Annotation]:
        """The labels of all frames, in order, without rendering."""
        for number in range(self.clips):
            clip = self.clip(number)
            for index in range(clip.frames):
                yield annotate(clip, sample_shot(clip, index), self.file(number))

    def settings(self) -> dict[str, Any]:
        """Everything that determines frames and labels, in JSON types."""
        scenes = [scene for scene in (self.scene, self.second) if scene is not None]
        folders = [part.pictures for scene in scenes for part in (scene.back, scene.table) if part.pictures]
        digests = {folder: pictures.digest(folder) for folder in folders}
        return json.loads(json.dumps({"renderer": VERSION, "pictures": digests, **asdict(self)}))


def ensure(out: str | Path, footage: Footage, workers: int | None = None) -> Path:
    """Render into the dataset folder `out` whatever is missing of the footage.

    Several processes may call it at once: one renders, the others wait.

    Args:
        out: the folder.
        footage: its content.
        workers: processes; None: one per core.

    Returns:
        `out` as a path.

    Raises:
        InputError: the folder has other content or footage of other settings, the disk is full, or Ctrl-C.
    """
    out = Path(out)
    if workers is not None and workers < 1:
        raise InputError(f"workers={workers}: choose 1 or more, or null for one per core")
    with write_errors(out):
        claim(footage, out)
        if _complete(footage, out):
            return out
        with wait_for(out / ".lock"):
            if not _complete(footage, out):
                _render_missing(footage, out, workers or cores())
                clips = map(footage.clip, range(footage.clips))
                videos = [
                    Video(footage.file(c.number), None if c.empty else c.packet.cards, {}) for c in clips
                ]
                write_folder(out, videos, footage.annotations())
    return out


def read_or_render(root: str | Path, footage: Footage) -> DatasetFolder:
    """Open the dataset folder `root`, after `ensure`; `read` of conf/data/synthetic.yaml.

    If `root` holds footage of other settings, the folder beside it that is named by these settings takes its place.

    Raises:
        InputError: see `ensure` and `DatasetFolder.read`.
    """
    root = Path(root)
    if _differing(footage, root):
        settings = json.dumps(footage.settings(), sort_keys=True)
        root = root.with_name(f"{root.name}_{hashlib.sha256(settings.encode()).hexdigest()[:8]}")
    return DatasetFolder.read(ensure(root, footage))


def claim(footage: Footage, root: Path) -> None:
    """Reserve `root` for this footage: create it with its settings, or check that they are equal.

    Raises:
        InputError: it has other content, or footage of other settings.
    """
    path = root / SETTINGS
    if differing := _differing(footage, root):
        raise InputError(
            f"{path}: rendered with another {', '.join(differing)}: choose another folder or remove it"
        )
    if path.exists():
        return
    if root.exists() and (not root.is_dir() or any(not item.name.startswith(".") for item in root.iterdir())):
        raise InputError(f"{root}: contains something other than synthetic footage: choose another folder")
    with replace_file(path) as temporary:
        temporary.write_text(json.dumps(footage.settings(), indent=2) + "\n")


def _differing(footage: Footage, root: Path) -> list[str]:
    """The settings in which the footage in `root`, if there is any, differs."""
    if not (root / SETTINGS).exists():
        return []
    existing, wanted = _read_settings(root / SETTINGS), footage.settings()
    return [key for key in sorted({*existing, *wanted}) if existing.get(key) != wanted.get(key)]


def _read_settings(path: Path) -> dict[str, Any]:
    try:
        settings = json.loads(path.read_text())
    except ValueError:
        settings = None
    if not isinstance(settings, dict):
        raise InputError(f"{path}: is damaged: choose another folder or remove this one")
    return {"second": None, **migrations.migrate(settings)}


def missing(footage: Footage, root: Path) -> list[int]:
    """The numbers of the clips that are not rendered yet."""
    return [number for number in range(footage.clips) if not (root / footage.file(number)).is_file()]


def _complete(footage: Footage, root: Path) -> bool:
    return all((root / name).is_file() for name in LABELS) and not missing(footage, root)


def _render_missing(footage: Footage, out: Path, workers: int) -> None:
    frames, clips = footage.frames_per_clip, len(missing(footage, out))
    done = footage.clips - clips
    try:
        with ProgressBar(f"rendering {out}", footage.clips * frames, completed=done * frames) as bar:
            for _ in generate(footage, out, VideoWriter, min(workers, clips) or 1):
                bar.advance(frames)
    except KeyboardInterrupt:
        done = footage.clips - len(missing(footage, out))
        raise InputError(
            f"{out}: interrupted after {done} of {footage.clips} clips: run the same command to continue"
        ) from None


def generate(footage: Footage, root: Path, open_video: OpenVideo, workers: int) -> Iterator[int]:
    """Render the missing clips into `root`, which must be claimed; yields the number of each finished clip.

    After an exception, Ctrl-C included, finished clips remain and unfinished ones leave no file.
    """
    render, numbers = partial(_render_clip, footage, root, open_video), missing(footage, root)
    if workers == 1:
        yield from map(render, numbers)
        return
    with ProcessPoolExecutor(workers, get_context("spawn"), _init_worker) as pool:
        with starting_workers():
            waiting = [pool.submit(render, number) for number in numbers]
        try:
            for done in as_completed(waiting):
                yield done.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _render_clip(footage: Footage, root: Path, open_video: OpenVideo, number: int) -> int:
    clip = footage.clip(number)
    renderer = Renderer(clip)
    with open_video(root / footage.file(number), clip.width, clip.height, clip.rate) as video:
        for index in range(clip.frames):
            shot = sample_shot(clip, index)
            video.write(renderer.frame(shot), shot.timestamp)
    return number


def _init_worker() -> None:
    """One core per worker, which finishes its clip at Ctrl-C."""
    start_worker()
    cv2.setNumThreads(1)
