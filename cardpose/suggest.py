"""Which frames to label next. `python -m cardpose.suggest --help` teaches; the recipe is `suggest`."""

import csv
import hashlib
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from cardpose.common.errors import InputError
from cardpose.common.files import file_digest, replace_file, write_errors
from cardpose.common.hydra_entry import entry, forget_empty_run, require
from cardpose.common.progress import frame_bar
from cardpose.common.threads import share_cores
from cardpose.data.footage.folder import DatasetFolder
from cardpose.data.footage.layouts import read_any
from cardpose.data.footage.video import probe
from cardpose.labelling.suggestion import Features, Observations, Suggestion, rank
from cardpose.prediction.backends import TorchBackend
from cardpose.prediction.predictor import Predictor, choose_device

COLUMNS = ("video", "frame_index", "score", "uncertainty", "disagreement", "distance", "why")
BATCH = 16


def suggest(cfg: DictConfig) -> list[Suggestion]:
    """Write the frames of `cfg.data.root` that are most worth a label to `cfg.out`.

    Args:
        cfg: conf/suggest.yaml, composed.

    Raises:
        InputError: what the user can mend.
        KeyboardInterrupt: Ctrl-C; the videos that were looked at are kept for the next run.
    """
    _check(cfg)
    share_cores()
    folder = read_any(cfg.data.root, unlabelled=True)
    candidates, labelled = _candidates(folder, cfg.stride)
    if not any(candidates.values()):
        raise InputError(f"{cfg.data.root}: every frame is labelled: lower stride={cfg.stride} or add videos")
    backend = TorchBackend(cfg.ckpt, choose_device(cfg.accelerator))
    looker = CandidateScorer(Predictor(backend), Features(backend), file_digest(cfg.ckpt))
    wanted = {
        video: _with_neighbours(folder, video, candidates[video]) | labelled[video] for video in candidates
    }
    out = Path(cfg.out)
    parts = out.with_name(f".{out.name}.parts")
    videos = {}
    with frame_bar("looking", sum(map(len, wanted.values()))) as advance:
        for video, frames in wanted.items():
            if candidates[video] or labelled[video]:
                videos[video] = looker.look(folder, video, sorted(frames), parts, advance)
    suggestions = rank(videos, candidates, labelled, cfg.n)
    _write(out, suggestions)
    shutil.rmtree(parts, ignore_errors=True)
    return suggestions


class CandidateScorer:
    """Runs the model over a video's frames; what it has looked at outlives an interruption.

    Args:
        predictor: the model.
        features: of the same model.
        model: what tells it from others.
    """

    def __init__(self, predictor: Predictor, features: Features, model: str) -> None:
        self.predictor, self.features, self.model = predictor, features, model

    def look(
        self,
        folder: DatasetFolder,
        video: str,
        frames: Sequence[int],
        parts: Path,
        tick: Callable[[int], object],
    ) -> Observations:
        """What the model says of these frames, from the folder `parts` where it was looked at before.

        Args:
            folder: the footage.
            video: which.
            frames: their indices, ascending.
            parts: where what was looked at is kept.
            tick: called with a number of frames that are done.

        Raises:
            InputError: the footage is damaged, or the disk is full.
        """
        key = f"{self.model} {folder.fingerprint(video)} {list(frames)}"
        part = parts / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.npz"
        if part.is_file():
            with np.load(part) as kept:
                tick(len(frames))
                return Observations(**kept)
        self.features.take()
        said, indices, batch = [], [], []
        for index, image in folder.read_frames(video, frames):
            indices.append(index)
            batch.append(self.predictor.prepare(image))
            if len(batch) == BATCH:
                said += self.predictor.predict(batch)
                tick(len(batch))
                batch = []
        said += self.predictor.predict(batch)
        tick(len(batch))
        seen = Observations.of(indices, said, self.features.take())
        with replace_file(part) as temporary, temporary.open("wb") as stream:
            np.savez(stream, **vars(seen))
        return seen


def _check(cfg: DictConfig) -> None:
    require(cfg, {"ckpt": "outputs/<run>/checkpoints/best.ckpt", "data": "<dataset folder>"})
    for key in ("n", "stride"):
        if not isinstance(cfg[key], int) or cfg[key] < 1:
            raise InputError(f"{key}={cfg[key]}: choose a whole number from 1")
    if Path(cfg.ckpt).suffix.lower() == ".onnx":
        raise InputError(f"{cfg.ckpt}: an ONNX file does not show its features: give the checkpoint")
    if Path(cfg.out).is_dir():
        raise InputError(f"out={cfg.out}: is a folder: name a file, for example {cfg.out}/suggest.csv")


def _candidates(folder: DatasetFolder, stride: int) -> tuple[dict[str, set[int]], dict[str, set[int]]]:
    """Of each video the frames that may be suggested, and those that are labelled.

    Where annotations.json names frames of the video that have no label yet, those; else every `stride`-th of a video,
    and every loose frame.
    """
    labelled: dict[str, set[int]] = {video.file: set() for video in folder.videos}
    listed: dict[str, set[int]] = {video.file: set() for video in folder.videos}
    for annotation in folder.annotations:
        labelled[annotation.video].add(annotation.frame_index)
    for video, index in folder.listed:
        listed.get(video, set()).add(index)
    candidates = {}
    for file, source in folder.sources.items():
        there = range(0, probe(source).num_frames, stride) if isinstance(source, Path) else source
        candidates[file] = (listed[file] - labelled[file]) or set(there) - labelled[file]
    return candidates, labelled


def _with_neighbours(folder: DatasetFolder, video: str, frames: set[int]) -> set[int]:
    """The frames with the one before and after each: of a video in time, of loose frames among those there are."""
    source = folder.sources[video]
    if isinstance(source, Path):
        near = {index + step for index in frames for step in (-1, 0, 1)}
        return near & set(range(probe(source).num_frames))
    there = sorted(source)
    place = {index: i for i, index in enumerate(there)}
    return {
        there[i] for index in frames for i in range(place[index] - 1, place[index] + 2) if 0 <= i < len(there)
    }


def _write(path: Path, suggestions: Sequence[Suggestion]) -> None:
    with replace_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as stream:
        table = csv.writer(stream, lineterminator="\n")
        table.writerow(COLUMNS)
        for one in suggestions:
            figures = [
                f"{value:.4f}" for value in (one.score, one.uncertainty, one.disagreement, one.distance)
            ]
            table.writerow([one.video, one.frame_index, *figures, one.why])


@entry("suggest", paths={"data": "data.root"})
def main(cfg: DictConfig) -> None:
    with write_errors(cfg.out):
        suggestions = suggest(cfg)
    forget_empty_run(Path(HydraConfig.get().runtime.output_dir))
    print(
        f"{len(suggestions)} frames of {len({one.video for one in suggestions})} videos, the most worth first"
    )
    print(cfg.out)


if __name__ == "__main__":
    main()
