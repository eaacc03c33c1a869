"""How a command ends that cannot do its work: exit codes, and one line instead of a traceback."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from cardpose.common.errors import InputError, Pruned
from cardpose.common.file_names import not_utf8
from cardpose.common.files import environment_error
from cardpose.common.subprocesses import INTERRUPTED

USER_ERROR = 2
"""Exit code after invalid input."""
FAILED = 1
"""Exit code if some of many runs failed."""
PRUNED = 3
"""Exit code of a training that a search stopped early."""
_LOOP = "Symlink loop from "
"""How a RuntimeError of `Path.resolve` begins."""


@contextmanager
def one_line_errors(name: str) -> Iterator[None]:
    """End with a user's mistake in one line and code 2, with Ctrl-C in one line and code 130.

    Args:
        name: of the command, before the line.

    Raises:
        SystemExit: after the line.
    """
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:  # the reader has seen enough: `--help | head`
        silence_output()
    except (InputError, KeyboardInterrupt, OSError, RuntimeError, UnicodeEncodeError) as error:
        code, line = ending(error)
        print(f"{name}: {line}", file=sys.stderr)
        raise SystemExit(code) from None


def ending(error: BaseException) -> tuple[int, str]:
    """Exit code and line of invalid input, Ctrl-C, an early stop, or an error of the system such as a full disk.

    Raises:
        BaseException: `error`, where it is anything else.
    """
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED, f"interrupted: {str(error) or 'run the same command again'}"
    if isinstance(error, Pruned):
        return PRUNED, str(error)
    if isinstance(error, RuntimeError) and str(error).startswith(_LOOP):
        path = str(error).removeprefix(_LOOP).strip("'")
        return USER_ERROR, f"{path}: is a link to itself: choose another path"
    if isinstance(error, UnicodeEncodeError):
        return USER_ERROR, not_utf8(error)
    if isinstance(error, OSError):
        try:
            sys.stdout.flush()
        except OSError:  # the output goes to a full disk
            silence_output()
        found = environment_error(error)
        if found is None:
            raise error
        error = found
    if not isinstance(error, InputError):
        raise error
    return USER_ERROR, " ".join(str(error).split())


def silence_output() -> None:
    """Give the last flush of the standard output a place to go."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
