"""The progress bar of long work: how far, how fast, how long still."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)


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
