"""A command that runs in the tests' own process: one of its own imports torch and Lightning anew, for 2 to 5 s."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Done:
    """A finished command."""

    code: int
    out: str
    err: str


Command = Callable[..., Done]
