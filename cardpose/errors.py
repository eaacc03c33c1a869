"""The one exception for a user's mistake."""


class InputError(ValueError):
    """Bad input that the user can mend.

    The message is one line: what is wrong, in which file, row or key, and the mend. The entries print it
    without a traceback and exit with code 2 (`cardpose.cli`).

    >>> raise InputError("videos.csv row 3: cards is 105, write 1 to 104 or leave it empty")
    Traceback (most recent call last):
        ...
    cardpose.errors.InputError: videos.csv row 3: cards is 105, write 1 to 104 or leave it empty
    """
