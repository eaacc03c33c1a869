"""The exception for invalid input, handlers that collect several errors, and the exception that ends a trial early."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager


class InputError(ValueError):
    """Invalid input that the user can correct.

    The message is one line: what is wrong, in which file, row or key, and how to fix it. Commands print it without a
    traceback and exit with code 2.

    >>> raise InputError("videos.csv row 3: cards is 105, write 1 to 104 or leave it empty")
    Traceback (most recent call last):
        ...
    cardpose.common.errors.InputError: videos.csv row 3: cards is 105, write 1 to 104 or leave it empty
    """


class MissingExtra(InputError):
    """A library of an optional extra of pyproject.toml is not installed; the message names the command for it."""


def needs_extra(what: str, extra: str) -> MissingExtra:
    """The error to raise if a library of an optional extra of pyproject.toml cannot be imported.

    >>> str(needs_extra("model=unet_timm", "timm"))
    'model=unet_timm needs the extra "timm": pip install -e ".[timm]"'
    """
    return MissingExtra(f'{what} needs the extra "{extra}": pip install -e ".[{extra}]"')


ErrorHandler = Callable[[InputError], None]
"""Called by a reader for each error: raises it, or records it so that reading continues without the faulty part."""


def raise_error(error: InputError) -> None:
    """The default error handler: stop at the first error."""
    raise error


@contextmanager
def collecting_errors(on_error: ErrorHandler) -> Iterator[None]:
    """Pass an `InputError` of the block to `on_error`; if that returns, continue after the block.

    >>> errors = []
    >>> for cards in (52, 105):
    ...     with collecting_errors(errors.append):
    ...         if cards > 104:
    ...             raise InputError(f"{cards} cards")
    >>> errors
    [InputError('105 cards')]
    """
    try:
        yield
    except InputError as error:
        on_error(error)


class Pruned(Exception):
    """The trial of a search was stopped because it cannot become the best one; the message is one line."""


def first_line(error: BaseException) -> str:
    """The first line of an exception's message, or the name of its class if the message is empty.

    >>> first_line(ValueError("one\\ntwo")), first_line(KeyError())
    ('one', 'KeyError')
    """
    return str(error).splitlines()[0] if str(error) else type(error).__name__
