"""Predicts clips in several processes, which write the same files as one."""

import multiprocessing
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import cache
from io import StringIO
from pathlib import Path
from typing import NamedTuple

from cardpose.common.errors import InputError
from cardpose.common.subprocesses import start_worker, starting_workers
from cardpose.common.threads import share_cores
from cardpose.prediction.output_folder import PredictionRows
from cardpose.prediction.pipeline import PredictionPipeline, Summary
from cardpose.prediction.predictor import Predictor
from cardpose.prediction.sources import Source

_settings: tuple[Callable[[], Predictor], Mapping[str, Path], int]  # in a worker process


class _Answer(NamedTuple):
    """Result of a worker: `PredictionRows` as text, the lines for the user, and the summary of one source."""

    rows: tuple[str, ...]
    printed: list[str]
    summary: Summary


def predict_in_processes(
    pipeline: PredictionPipeline, sources: Sequence[Source], jobs: int, load: Callable[[], Predictor]
) -> Summary:
    """Predict each source as if it were the only one; results are written in the order of the sources.

    Args:
        pipeline: in which each process has a predictor of its own.
        jobs: number of processes.
        load: makes the predictor; can be pickled.

    Returns:
        The pipeline's summary, with these sources added.

    Raises:
        InputError: a source is a camera, nothing can be written, or a process was killed.
    """
    for source in sources:
        if source.endless:
            raise InputError(f"{source.name}: a camera has no end: leave out --jobs")
    total, report = pipeline.summary, pipeline.report
    settings = load, pipeline.overlays, pipeline.batch_size
    jobs = min(jobs, len(sources)) or 1
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"), _start, (jobs, *settings)) as pool:
        try:
            with starting_workers():
                answers = pool.map(_predict, sources)
            for rows, printed, summary in answers:
                pipeline.folder.append(rows)
                for line in [*printed, *(summary.failed if len(sources) > 1 else [])]:
                    report.print(line)
                report.advance(summary.frames)
                total.frames += summary.frames
                total.clips += summary.clips
                total.bad_frames += summary.bad_frames
                total.failed += summary.failed
        except BrokenProcessPool as error:
            raise InputError(
                "a process was killed, perhaps for its memory: continue with --resume and fewer --jobs"
            ) from error
        except BaseException:
            for process in multiprocessing.active_children():  # of the pool, which would finish its clips
                process.terminate()
            raise
    return total


def _start(jobs: int, load: Callable[[], Predictor], overlays: Mapping[str, Path], batch_size: int) -> None:
    global _settings
    start_worker()
    share_cores(jobs)
    _settings = load, overlays, batch_size


@cache
def _predictor() -> Predictor:
    """Made at the first clip, whose answer an error then is; an error at the start would look like a killed process."""
    return _settings[0]()


class _Printed(list[str]):
    """A `Report` that keeps its lines."""

    print = list.append

    def advance(self, count: int = 1) -> None:
        """The summary has the number."""


def _predict(source: Source) -> _Answer:
    _, overlays, batch_size = _settings
    texts = tuple(StringIO(newline="") for _ in range(3))
    printed = _Printed()
    pipeline = PredictionPipeline(_predictor(), PredictionRows(*texts), overlays, batch_size, printed)
    summary = pipeline([source])
    return _Answer(tuple(text.getvalue() for text in texts), list(printed), summary)
