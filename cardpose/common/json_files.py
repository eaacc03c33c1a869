"""Reading of JSON and YAML files, with errors that name the missing or wrong value."""

import json
import math
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from cardpose.common.errors import InputError, first_line
from cardpose.common.files import check_is_file

_LARGEST = 2**20  # pixels of a side; OpenCV opens no larger image


def read_json(path: Path, fix: str = "is this the right file?") -> Any:
    """The document of a JSON file, in UTF-8 or, as Windows writes it, in UTF-16 with its mark.

    Raises:
        InputError: the file is missing, not a file, or not JSON; `fix` ends the message if it cannot be opened.
    """
    check_is_file(path)
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file: {fix}") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}): {fix}") from error
    except (ValueError, RecursionError) as error:  # also invalid UTF-8, and too many nested brackets
        reason = " ".join(str(error).split())
        raise InputError(f"{path}: not valid JSON ({reason}): restore it or export it again") from error


def read_yaml(path: Path, kind: type[DictConfig] | type[ListConfig]) -> Any:
    """Read a file written by Hydra or OmegaConf.

    Raises:
        InputError: the file cannot be read, is not YAML, or holds something else than a `kind`.
    """
    check_is_file(Path(path))
    try:
        content = OmegaConf.load(path)
    except (OSError, ValueError, RecursionError, YAMLError, OmegaConfBaseException) as error:
        raise InputError(f"{path}: cannot be read ({first_line(error)}): restore it") from error
    if not isinstance(content, kind):
        raise InputError(f"{path}: is damaged: restore it")
    return content


def get(record: Any, key: str, kind: type | tuple[type, ...], where: str) -> Any:
    """`record[key]`, which must exist and have the given type.

    Raises:
        InputError: it does not; `where` begins the message.
    """
    if not isinstance(record, dict) or key not in record:
        raise InputError(f"{where}: has no key {key!r}: add it or export the file again")
    value = record[key]
    if not isinstance(value, kind) or isinstance(value, bool):
        raise InputError(f"{where}: {key} is {value!r:.60}: it has the wrong type, correct it")
    return value


def identifier(record: Any, key: str, where: str) -> int | str:
    """`record[key]`, an id: a whole number, also as text or as a float, or any other text.

    >>> [identifier({"id": value}, "id", "a.json") for value in (7, "7", 7.0, "img7")]
    [7, 7, 7, 'img7']

    Raises:
        InputError: it is missing or of another type; `where` begins the message.
    """
    value = get(record, key, (int, float, str), where)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, float):
        raise InputError(f"{where}: {key} is {value!r:.60}: write a whole number")
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
        return int(value)
    return value


def whole_number(record: Any, key: str, where: str) -> int:
    """`record[key]`, a whole number, also as text or as a float.

    Raises:
        InputError: it is not; `where` begins the message.
    """
    value = identifier(record, key, where)
    if isinstance(value, str):
        raise InputError(f"{where}: {key} is {value!r:.60}: write a whole number")
    return value


def number(value: Any, what: str, where: str) -> float:
    """A finite number, given as a number or as text in plain digits, not as Python also reads it ("1_0").

    >>> number("2.5", "x", "a.csv row 3")
    2.5

    Raises:
        InputError: it is not; `where` begins the message and `what` names the value.
    """
    odd = isinstance(value, bool) or (isinstance(value, str) and not (value.isascii() and "_" not in value))
    try:
        result = float(value)
    except (TypeError, ValueError, OverflowError):
        result = math.nan
    if odd or not math.isfinite(result):
        raise InputError(f"{where}: {what} is {value!r:.60}: write a number")
    return result


def side(value: Any, what: str, where: str) -> int:
    """Width or height of an image in pixels, given as a whole number or as text.

    Raises:
        InputError: it is not; `where` begins the message and `what` names the value.
    """
    pixels = number(value, what, where)
    if not (pixels.is_integer() and 0 < pixels <= _LARGEST):
        raise InputError(f"{where}: {what} is {pixels:g}: write the image's size in pixels")
    return int(pixels)


def frame_numbers(value: Any, where: str) -> list[int]:
    """A list of frame numbers of a file, checked; `where` is for the message.

    Raises:
        InputError: it is none.
    """
    if not (isinstance(value, list) and all(type(index) is int for index in value)):
        raise InputError(f'{where}: write a list of frame numbers or "all"')
    return value
