"""The exception for a user's mistake, how several are heard of at once, and what ends a search's trial early."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager


class InputError(ValueError):
    """Bad input that the user can mend.

    The message is one line: what is wrong, in which file, row or key, and the mend. The entries print it
    without a traceback and exit with code 2 (`cardpose.common.hydra_entry`).

    >>> raise InputError("videos.csv row 3: cards is 105, write 1 to 104 or leave it empty")
    Traceback (most recent call last):
        ...
    cardpose.common.errors.InputError: videos.csv row 3: cards is 105, write 1 to 104 or leave it empty
    """


class MissingExtra(InputError):
    """A library of an optional extra of pyproject.toml is not installed; the message says how to install it."""


ErrorHandler = Callable[[InputError], None]
"""What a reader does with a fault: raise it, or note it and go on without what is faulty."""


def raise_error(error: InputError) -> None:
    """Raise: the first fault ends the reading."""
    raise error


@contextmanager
def collecting_errors(complain: ErrorHandler) -> Iterator[None]:
    """Hand a fault inside the block to `complain`; where that does not raise, go on after the block.

    >>> faults = []
    >>> for cards in (52, 105):
    ...     with told(faults.append):
    ...         if cards > 104:
    ...             raise InputError(f"{cards} cards")
    >>> faults
    [InputError('105 cards')]
    """
    try:
        yield
    except InputError as error:
        complain(error)


class Pruned(Exception):
    """A trial of a search cannot become the best one; the message is one line that says when."""


def first_line(error: BaseException) -> str:
    """The first line of an exception's message, or its kind where it has none.

    >>> first_line(ValueError("one\\ntwo")), first_line(KeyError())
    ('one', 'KeyError')
    """
    return str(error).splitlines()[0] if str(error) else type(error).__name__
