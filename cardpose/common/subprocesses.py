"""A command in a process of its own, which ends as this one is told to end."""

import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

TERMINATED = 128 + signal.SIGTERM
INTERRUPTED = 130
"""Exit code after Ctrl-C, as the shell's own."""


def call(words: Sequence[str], **options: Any) -> tuple[int, bool]:
    """Run a command; its exit code, and whether Ctrl-C came meanwhile.

    The terminal sends Ctrl-C to the command, too, which ends in its own time. Where this process is told to end, the
    command ends with it: nobody would wait for it.

    Args:
        words: the command.
        options: of `subprocess.call`.
    """
    pressed: list[int] = []
    with (
        handling(signal.SIGINT, lambda number, _: pressed.append(number)),
        handling(signal.SIGTERM, _leave),
    ):
        code = subprocess.call(words, **options)
    return code, bool(pressed) or code in (INTERRUPTED, -signal.SIGINT)


def _leave(number: int, frame: FrameType | None) -> None:
    raise SystemExit(TERMINATED)  # `subprocess.call` kills the command on its way out


@contextmanager
def handling(number: signal.Signals, handler: Any) -> Iterator[None]:
    """Answer a signal with `handler` inside, and as before afterwards."""
    before = signal.signal(number, handler)
    try:
        yield
    finally:
        signal.signal(number, before)
