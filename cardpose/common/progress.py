"""The progress bar of long work, on rich."""

import time
from collections.abc import Callable, Sequence
from typing import Protocol, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from cardpose.common.errors import InputError
from cardpose.common.file_names import printable


class ProgressBar:
    """A bar on stderr with rate and remaining time, drawn on a terminal only. A context manager.

    Args:
        description: text before the bar.
        total: number of items, None if unknown; a function is called only if the bar is drawn.
        completed: items that were done before.
    """

    def __init__(
        self,
        description: str,
        total: int | Callable[[], int | None] | None = None,
        *,
        completed: int = 0,
        unit: str = "frames",
    ) -> None:
        console = Console(stderr=True)
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn(f"{unit}, {{task.fields[rate]:.0f}} {unit}/s,"),
            TimeRemainingColumn(),
            TextColumn("left"),
            console=console,
            disable=not console.is_terminal,
            redirect_stdout=False,
        )
        if callable(total):
            total = None if self._bar.disable else total()
        self._task = self._bar.add_task(description, total=total, completed=completed, rate=0.0)
        self._count = 0

    def __enter__(self) -> Self:
        self._start = time.perf_counter()
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def advance(self, count: int = 1) -> None:
        """Count finished items."""
        self._count += count
        self._bar.update(self._task, advance=count, rate=self._bar.tasks[0].speed or 0.0)

    def print(self, line: str) -> None:
        """Write a line above the bar; thread-safe."""
        self._bar.console.print(printable(line), markup=False, highlight=False, soft_wrap=True)

    @property
    def summary(self) -> str:
        """Elapsed time and average rate, for example "12.3 s, 40 frames/s"."""
        seconds = time.perf_counter() - self._start
        return f"{seconds:.1f} s, {self._count / seconds:.0f} frames/s"


class CountsFrames(Protocol):
    """A source of frames. `num_frames` is None if unknown, and raises `InputError` if the source cannot be read."""

    @property
    def num_frames(self) -> int | None: ...


def total_frames(sources: Sequence[CountsFrames]) -> int | None:
    """Frames of all readable sources; None if the number of one is unknown."""
    total = 0
    for source in sources:
        try:
            frames = source.num_frames
        except InputError:
            continue  # reported when the source is read
        if frames is None:
            return None
        total += frames
    return total
