"""The progress bar of long work: how far, how fast, how long still."""

from rich.progress import BarColumn, MofNCompleteColumn, ProgressColumn, TextColumn, TimeRemainingColumn


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
