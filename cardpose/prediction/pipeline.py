"""From sources to a folder of predictions, in stages that overlap (`cardpose.common.prefetch`).

read      decode and letterbox
compute   the network, batch by batch
follow    track, count, draw and write, in the caller's thread
"""

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass, field
from itertools import chain, groupby
from pathlib import Path
from typing import Protocol

import numpy as np

from cardpose.common.errors import InputError
from cardpose.common.prefetch import prefetch
from cardpose.data.footage.video import VideoFrame
from cardpose.fusion.clips import RunningCount
from cardpose.fusion.intervals import Interval
from cardpose.prediction.output_folder import PredictionFolder, TrackedFrame
from cardpose.prediction.overlay import Overlay
from cardpose.prediction.predictor import FramePrediction, Predictor, PreprocessedFrame
from cardpose.prediction.sources import Source
from cardpose.prediction.tracking import ConvergenceDetector, CornerTracker

MAX_BATCH_BYTES = 100_000_000
"""Of the frames in a batch, where they are kept to be drawn on."""


class Report(Protocol):
    """Who follows a run; called from any thread."""

    def print(self, line: str) -> None:
        """A line about a source: its answer, or what is wrong with it."""

    def advance(self) -> None:
        """One more frame is done."""


@dataclass(frozen=True)
class Shot:
    """A frame on its way: `image` (H, W, 3) uint8 RGB, None where nothing is drawn on it."""

    source: Source
    index: int
    timestamp: float
    prepared: PreprocessedFrame
    image: np.ndarray | None


@dataclass
class Summary:
    """What a run did: frames and clips predicted, frames and sources (a line each) that could not be read.

    >>> str(Summary(frames=90, clips=2, bad_frames=1, failed=["a.mp4: no such file"]))
    '90 frames of 2 clips; 1 bad frame; 1 source could not be read'
    """

    frames: int = 0
    clips: int = 0
    bad_frames: int = 0
    failed: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        parts = [f"{_count(self.frames, 'frame')} of {_count(self.clips, 'clip')}"]
        if self.bad_frames:
            parts.append(_count(self.bad_frames, "bad frame"))
        if self.failed:
            parts.append(f"{_count(len(self.failed), 'source')} could not be read")
        return "; ".join(parts)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


class ClipAggregator:
    """Takes in one clip's predictions, frame by frame.

    Args:
        source: the clip.
        interval: calibration of the interval.
    """

    def __init__(self, source: Source, interval: Interval | None) -> None:
        self._source = source
        self._count, self._settling = RunningCount(interval), ConvergenceDetector()
        self._tracker: CornerTracker | None = None
        self.answer = self._count.add(*np.empty((3, 0)))
        self.settled = False

    def __call__(self, shot: Shot, said: FramePrediction) -> TrackedFrame:
        """What the frame says, and what all up to it say."""
        self.answer = self._count.add(
            np.array([said.cards]), np.array([said.cards_std]), np.array([said.flag])
        )
        self.settled = self._settling(self.answer)
        tracked = None
        if self._source.rate:
            self._tracker = self._tracker or CornerTracker(max(said.width, said.height))
            tracked = self._tracker(said.completed(), shot.timestamp)
        return TrackedFrame(
            self._source.name, shot.index, shot.timestamp, said, tracked, self.answer, self.settled
        )


class Run:
    """Predicts sources and writes what comes of it.

    Args:
        predictor: the model.
        folder: where to.
        overlays: paths of the drawings by the sources' names; no drawings where it is empty.
        batch_size: frames that the network gets at once.
        report: who follows it.
    """

    def __init__(
        self,
        predictor: Predictor,
        folder: PredictionFolder,
        overlays: Mapping[str, Path],
        batch_size: int,
        report: Report,
    ) -> None:
        self.predictor, self.folder, self.overlays = predictor, folder, overlays
        self.batch_size, self.report = batch_size, report
        self.summary = Summary()

    def __call__(self, sources: Sequence[Source]) -> Summary:
        """Predict one after another; Ctrl-C ends a camera's clip well, and the run with it.

        Where a single source cannot be read, its line is left to the caller.

        Raises:
            InputError: nothing can be written.
        """

        def fail(line: str) -> None:
            self.summary.failed.append(line)
            if len(sources) > 1:
                self.report.print(line)

        batches = prefetch(read(sources, self.predictor, self.batch_size, bool(self.overlays), fail))
        with closing(prefetch(compute(batches, self.predictor))) as computed:
            pairs = chain.from_iterable(computed)
            for source, frames in groupby(pairs, key=lambda pair: pair[0].source):
                if self._clip(source, frames):
                    break
        return self.summary

    def _clip(self, source: Source, frames: Iterable[tuple[Shot, FramePrediction]]) -> bool:
        """Whether Ctrl-C ended it."""
        follower = ClipAggregator(source, self.predictor.interval)
        overlay = Overlay(self.overlays[source.name], source) if self.overlays else None
        stopped = False
        with overlay or nullcontext():
            try:
                for shot, said in frames:
                    self._frame(shot, follower(shot, said), overlay)
            except KeyboardInterrupt:
                if not source.endless:
                    raise
                stopped = True
        self.folder.write_clip(source.name, follower.answer, follower.settled, source.bad_frames)
        self.summary.clips += 1
        self.summary.bad_frames += source.bad_frames
        if source.problem:
            self.report.print(source.problem)
        self.report.print(f"{source.name}: {follower.answer}")
        return stopped

    def _frame(self, shot: Shot, frame: TrackedFrame, overlay: Overlay | None) -> None:
        self.folder.write_frame(frame)
        if overlay and shot.image is not None:
            overlay.write(shot.image, frame)
        self.summary.frames += 1
        self.report.advance()


def read(
    sources: Iterable[Source], predictor: Predictor, batch_size: int, keep: bool, fail: Callable[[str], None]
) -> Generator[list[Shot], None, None]:
    """Batches of prepared frames, one source after another; `fail` takes a line where one cannot be read."""
    batch: list[Shot] = []
    for source in sources:
        size = 1 if source.endless else batch_size  # a camera's frames are not waited for
        try:
            for frame in source.frames():
                batch.append(_shot(source, frame, predictor, keep))
                if len(batch) >= size or _bytes(batch) > MAX_BATCH_BYTES:
                    yield batch
                    batch = []
        except InputError as error:
            fail(str(error))
    if batch:
        yield batch


def _shot(source: Source, frame: VideoFrame, predictor: Predictor, keep: bool) -> Shot:
    image = frame.image if keep else None
    return Shot(source, frame.index, frame.timestamp, predictor.prepare(frame.image), image)


def _bytes(batch: Iterable[Shot]) -> int:
    return sum(shot.image.nbytes for shot in batch if shot.image is not None)


def compute(
    batches: Generator[list[Shot], None, None], predictor: Predictor
) -> Generator[list[tuple[Shot, FramePrediction]], None, None]:
    """Each batch with its predictions."""
    with closing(batches):
        for batch in batches:
            yield list(zip(batch, predictor.predict([shot.prepared for shot in batch]), strict=True))
