"""The progress bar of long work: how far, how fast, how long still."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)

from cardpose.common.errors import InputError


class CountsFrames(Protocol):
    """A source of frames. `num_frames` is None where it is unknown, and raises `InputError` where it cannot be read."""

    @property
    def num_frames(self) -> int | None: ...


def columns(what: str, items: str) -> tuple[ProgressColumn, ...]:
    """Columns for `rich.progress.Progress`, whose task has a field `rate`: frames a second.

    Args:
        what: is done, before the bar.
        items: that are counted.
    """
    return (
        TextColumn(what),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(f"{items}, {{task.fields[rate]:.0f}} frames/s,"),
        TimeRemainingColumn(),
        TextColumn("left"),
    )


@contextmanager
def frame_bar(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """A bar over `total` frames on stderr; call what it gives with how many more are done.

    Args:
        what: is done, before the bar.
        total: frames.
    """
    with Progress(*columns(what, "frames"), console=Console(stderr=True)) as progress:
        task = progress.add_task("", total=total, rate=0.0)

        def advance(frames: int) -> None:
            progress.update(task, advance=frames, rate=progress.tasks[task].speed or 0.0)

        yield advance


class FrameBar:
    """On stderr; a context manager.

    Args:
        sources: whose frames are counted.
        what: is done with them.
        passes: how often each frame is looked at.
    """

    def __init__(self, sources: Sequence[CountsFrames], what: str = "predicting", passes: int = 1) -> None:
        console = Console(stderr=True)
        shown = console.is_terminal
        self._bar = Progress(
            *columns(what, "frames"), console=console, disable=not shown, redirect_stdout=False
        )
        frames = known_frames(sources) if shown else None
        self._task = self._bar.add_task("", total=frames and frames * passes, rate=0.0)
        self._frames = 0

    def __enter__(self) -> "FrameBar":
        self._start = time.perf_counter()
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def say(self, line: str) -> None:
        """Write a line, above the bar where there is one; from any thread."""
        self._bar.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def frame(self, count: int = 1) -> None:
        """One more frame is done, or so many."""
        self._frames += count
        self._bar.update(self._task, advance=count, rate=self._bar.tasks[0].speed or 0.0)

    @property
    def rate(self) -> str:
        """Time since the start, and frames a second, in words."""
        seconds = time.perf_counter() - self._start
        return f"{seconds:.1f} s, {self._frames / seconds:.0f} frames/s"


def known_frames(sources: Sequence[CountsFrames]) -> int | None:
    """Frames of all sources; None where one does not tell."""
    total = 0
    for source in sources:
        try:
            frames = source.num_frames
        except InputError:
            continue  # it is said when its turn comes
        if frames is None:
            return None
        total += frames
    return total
