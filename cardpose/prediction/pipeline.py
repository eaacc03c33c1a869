"""From sources to a folder of predictions, in stages that overlap (`cardpose.common.prefetch`).

read      decode and letterbox
compute   the network, batch by batch
write     track, count, draw and write, in the caller's thread
"""

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass, field, replace
from itertools import chain, groupby
from pathlib import Path
from typing import Protocol

import numpy as np

from cardpose.common.errors import InputError
from cardpose.common.prefetch import prefetch
from cardpose.fusion.clips import Clip, RunningCount
from cardpose.fusion.edge_votes import Ballot, with_edges
from cardpose.prediction.output_folder import PredictionFolder, PredictionRows
from cardpose.prediction.overlay import Overlay
from cardpose.prediction.predictor import Predictor
from cardpose.prediction.records import FrameItem, Prediction
from cardpose.prediction.sources import Source
from cardpose.prediction.tracking import ConvergenceDetector, CornerTracker

MAX_BATCH_BYTES = 100_000_000
"""Limit of a batch's source frames, which are kept for edges, second looks and drawings."""


class Report(Protocol):
    """Receives the progress of a pipeline; called from any thread."""

    def print(self, line: str) -> None:
        """A line about a source: its count, or what is wrong with it."""

    def advance(self, count: int = 1) -> None:
        """So many more frames are done."""


@dataclass
class Summary:
    """Frames and clips predicted, frames that could not be read, and a line for each source that could not be read.

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
    """Adds the frames of one clip to its count, one by one, and tracks its corners.

    Args:
        predictor: its interval and fusion settings are used.

    `clip` is the count so far.
    """

    def __init__(self, source: Source, predictor: Predictor) -> None:
        self._source = source
        self._count = RunningCount(predictor.fusion, predictor.interval)
        self._converged = ConvergenceDetector()
        self._tracker: CornerTracker | None = None
        self._ballot = Ballot()
        self.clip: Clip = self._count.add(*np.empty((3, 0)))

    def __call__(self, item: FrameItem, prediction: Prediction) -> np.ndarray | None:
        """Add a frame to `clip`.

        Returns:
            (8, 2) its corners in source pixels, completed by the box and smoothed over time, NaN where one is lost;
            None for pictures.
        """
        values = prediction.cards, prediction.cards_std, prediction.flag
        clip = self._count.add(*(np.array([value]) for value in values))
        if prediction.edges and prediction.edges.vote:
            self._ballot.add(prediction.edges.vote)
        self.clip = with_edges(replace(clip, settled=self._converged(clip)), self._ballot.winner)
        if not self._source.rate:
            return None
        self._tracker = self._tracker or CornerTracker(max(prediction.width, prediction.height))
        return self._tracker(prediction.completed(), item.timestamp)


class PredictionPipeline:
    """Predicts sources and writes the results.

    Args:
        overlays: paths of the drawings by the sources' names; empty for no drawings.
        batch_size: frames per batch.
    """

    def __init__(
        self,
        predictor: Predictor,
        folder: PredictionFolder | PredictionRows,
        overlays: Mapping[str, Path],
        batch_size: int,
        report: Report,
    ) -> None:
        self.predictor, self.folder, self.overlays = predictor, folder, overlays
        self.batch_size, self.report = batch_size, report
        self.summary = Summary()

    def __call__(self, sources: Sequence[Source]) -> Summary:
        """Predict one source after another. Ctrl-C completes the clip of a camera and ends the pipeline.

        If there is only one source and it cannot be read, its line is not reported but left in `Summary.failed`.

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
                assert source is not None  # `read` sets it
                if self._write_source(source, frames):
                    break
        return self.summary

    def _write_source(self, source: Source, frames: Iterable[tuple[FrameItem, Prediction]]) -> bool:
        """Write one source; True if Ctrl-C ended it."""
        aggregate = ClipAggregator(source, self.predictor)
        overlay = Overlay(self.overlays[source.name], source) if self.overlays else None
        interrupted = False
        with overlay or nullcontext():
            try:
                for item, prediction in frames:
                    tracked = aggregate(item, prediction)
                    self.folder.write_frame(source.name, item, prediction, tracked, aggregate.clip)
                    if overlay:
                        overlay.write(item, prediction, tracked, aggregate.clip)
                    self.summary.frames += 1
                    self.report.advance()
            except KeyboardInterrupt:
                if not source.endless:
                    raise
                interrupted = True
        self.folder.write_clip(source.name, aggregate.clip, source.bad_frames)
        self.summary.clips += 1
        self.summary.bad_frames += source.bad_frames
        if source.problem:
            self.report.print(source.problem)
        self.report.print(f"{source.name}: {aggregate.clip}")
        return interrupted


def read(
    sources: Iterable[Source], predictor: Predictor, batch_size: int, keep: bool, fail: Callable[[str], None]
) -> Generator[list[FrameItem], None, None]:
    """Batches of prepared frames, one source after another.

    Args:
        predictor: prepares the frames.
        batch_size: frames per batch; those of a camera come one by one, so that none waits.
        keep: keep the source frames, to draw on; those that the predictor may need are kept anyway.
        fail: receives a line for each source that cannot be read.
    """
    batch: list[FrameItem] = []
    for source in sources:
        size = 1 if source.endless else batch_size
        try:
            for frame in source.frames():
                item = predictor.prepare(frame.image, frame.focal)
                item = replace(
                    item,
                    index=frame.index,
                    timestamp=frame.timestamp,
                    source=source,
                    picture=frame.image if keep else item.picture,
                )
                batch.append(item)
                if len(batch) >= size or _bytes(batch) > MAX_BATCH_BYTES:
                    yield batch
                    batch = []
        except InputError as error:
            fail(str(error))
    if batch:
        yield batch


def _bytes(batch: Iterable[FrameItem]) -> int:
    return sum(item.picture.nbytes for item in batch if item.picture is not None)


def compute(
    batches: Generator[list[FrameItem], None, None], predictor: Predictor
) -> Generator[list[tuple[FrameItem, Prediction]], None, None]:
    """Each batch with its predictions."""
    with closing(batches):
        for batch in batches:
            yield list(zip(batch, predictor.predict(batch), strict=True))
