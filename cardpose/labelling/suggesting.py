"""Run a model over the frames of a folder and list those that are most worth a label."""

import hashlib
import logging
import shutil
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path

import numpy as np

from cardpose.common.errors import InputError
from cardpose.common.files import file_digest, replace_file
from cardpose.common.progress import ProgressBar
from cardpose.data.footage.folder import DatasetFolder
from cardpose.data.footage.layouts import read_any
from cardpose.data.footage.video import probe
from cardpose.evaluation.report.tables import Cell, write_csv
from cardpose.labelling.suggestion import Features, Observations, Suggestion, rank
from cardpose.prediction.predictor import BATCH_SIZE, Predictor
from cardpose.prediction.records import Prediction
from cardpose.prediction.torch_backend import TorchBackend

log = logging.getLogger(__name__)

COLUMNS = ("video", "frame_index", "score", "uncertainty", "disagreement", "distance", "why")


def suggest_frames(
    root: Path, model: Path, out: Path, number: int, stride: int, device: str
) -> list[Suggestion]:
    """Write the frames of the folder `root` that are most worth a label to the table `out`.

    Args:
        root: a dataset folder, or footage in a layout that `read_any` knows.
        number: how many frames at most.
        stride: of a video without frames to label, every `stride`-th frame is a candidate.
        device: a torch device.

    Returns:
        The frames, the most useful first.

    Raises:
        InputError: the folder, the model or `out` cannot be used, or every frame is labelled.
        KeyboardInterrupt: Ctrl-C; the finished videos are kept for the next run.
    """
    folder = read_any(root, unlabelled=True)
    candidates, labelled = _candidates(folder, stride)
    if not any(candidates.values()):
        raise InputError(f"{root}: all frames at --stride {stride} are labelled: add videos, or lower it")
    backend = TorchBackend(model, device)
    scorer = CandidateScorer(Predictor(backend), Features(backend), file_digest(model))
    wanted = {
        video: _with_neighbours(folder, video, candidates[video]) | labelled[video] for video in candidates
    }
    parts = out.with_name(f".{out.name}.parts")
    videos = {}
    with ProgressBar("predicting", sum(map(len, wanted.values()))) as bar:
        for video, frames in wanted.items():
            if candidates[video] or labelled[video]:
                videos[video] = scorer.observe(folder, video, sorted(frames), parts, bar.advance)
    suggestions = rank(videos, candidates, labelled, number)
    write_csv(out, map(_row, suggestions), COLUMNS)
    shutil.rmtree(parts, ignore_errors=True)
    return suggestions


class CandidateScorer:
    """Runs the model over a video's frames; the results are kept on disk, so that an interrupted run continues.

    Args:
        features: of the same model.
        model: digest of its file.
    """

    def __init__(self, predictor: Predictor, features: Features, model: str) -> None:
        self.predictor, self.features, self.model = predictor, features, model

    def observe(
        self,
        folder: DatasetFolder,
        video: str,
        frames: Sequence[int],
        parts: Path,
        tick: Callable[[int], object],
    ) -> Observations:
        """The model's output for these frames, read from the folder `parts` if an earlier run stored it there.

        Args:
            frames: their indices, ascending.
            parts: folder of the stored results.
            tick: called with the number of frames that were finished since the last call.

        Raises:
            InputError: the footage is damaged, or the disk is full.
        """
        key = f"first looks {self.model} {folder.fingerprint(video)} {list(frames)}"
        part = parts / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.npz"
        if part.is_file():
            with np.load(part) as kept:
                tick(len(frames))
                return Observations(**kept)
        images = (image for _, image in folder.read_frames(video, frames))
        outputs: list[Prediction] = []
        features = []
        while batch := list(islice(images, BATCH_SIZE)):
            self.features.take()
            outputs += self.predictor.batch(batch)
            features.append(self.features.take()[: len(batch)])  # behind them are those of second looks
            tick(len(batch))
        seen = Observations.of(frames, outputs, np.concatenate(features))
        with replace_file(part) as temporary, temporary.open("wb") as stream:
            np.savez(stream, **vars(seen))
        return seen


def _candidates(folder: DatasetFolder, stride: int) -> tuple[dict[str, set[int]], dict[str, set[int]]]:
    """The frames of each video that may be suggested, and those that are labelled.

    Candidates are the unlabelled frames that annotations.json lists for the video, or, without any, every `stride`-th
    frame of a video file and all frames of a folder of images.

    Frames that are listed but not there are left out, with a warning.
    """
    labelled: dict[str, set[int]] = {video.file: set() for video in folder.videos}
    listed: dict[str, set[int]] = {video.file: set() for video in folder.videos}
    for annotation in folder.annotations:
        labelled[annotation.video].add(annotation.frame_index)
    for video, index in folder.listed:
        listed.get(video, set()).add(index)
    candidates = {}
    for file, source in folder.sources.items():
        frames = range(probe(source).num_frames) if isinstance(source, Path) else source
        if missing := listed[file] - set(frames):
            log.warning("%s: has no frame %d, which annotations.json lists: left out", file, min(missing))
            listed[file] -= missing
            labelled[file] -= missing
        considered = frames[::stride] if isinstance(frames, range) else frames
        candidates[file] = (listed[file] - labelled[file]) or set(considered) - labelled[file]
    return candidates, labelled


def _with_neighbours(folder: DatasetFolder, video: str, frames: set[int]) -> set[int]:
    """The frames and their neighbours: in time for a video file, in the list of existing frames for a folder."""
    source = folder.sources[video]
    if isinstance(source, Path):
        near = {index + step for index in frames for step in (-1, 0, 1)}
        return near & set(range(probe(source).num_frames))
    existing = sorted(source)
    place = {index: i for i, index in enumerate(existing)}
    return {
        existing[i]
        for index in frames
        for i in range(place[index] - 1, place[index] + 2)
        if 0 <= i < len(existing)
    }


def _row(one: Suggestion) -> dict[str, Cell]:
    figures = (f"{value:.4f}" for value in (one.score, one.uncertainty, one.disagreement, one.distance))
    return dict(zip(COLUMNS, (one.video, one.frame_index, *figures, one.why), strict=True))
