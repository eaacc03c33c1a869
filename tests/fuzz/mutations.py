"""Ways to damage the bytes of a file, a text or a JSON document."""

import json
import random
import re
from collections.abc import Callable, Iterator
from typing import Any

ODD_TEXT = (
    *(
        "",
        "0",
        "-1",
        "1e999",
        "NaN",
        "Infinity",
        "null",
        "true",
        "no",
        "[]",
        "{}",
        "'",
        '"',
        "a=b",
        "9" * 5000,
        "é,;\t",
    ),
    *(
        "\x00",
        "../..",
        "/dev/null",
        "/proc/self/mem",
        " ",
        "%s",
        "${x}",
        "1" * 40,
        "-0.0",
        "0x10",
        "\uff11\uff12",
    ),
)
ODD_VALUES: tuple[Any, ...] = (
    *(
        None,
        True,
        False,
        0,
        -1,
        2**63,
        1e308,
        float("nan"),
        float("inf"),
        "",
        "text",
        [],
        {},
        [[]],
        {"a": 1},
        [None],
    ),
    *("9" * 5000, 10**400, 0.5, "1"),
)


def flip(data: bytes, dice: random.Random) -> bytes:
    """Some bytes changed."""
    changed = bytearray(data)
    for _ in range(dice.choice((1, 2, 8, 64))):
        changed[dice.randrange(len(changed))] = dice.randrange(256)
    return bytes(changed)


def cut(data: bytes, dice: random.Random) -> bytes:
    """The beginning alone."""
    return data[: dice.randrange(len(data))]


def repeat(data: bytes, dice: random.Random) -> bytes:
    """A piece that occurs twice."""
    start = dice.randrange(len(data))
    end = min(len(data), start + dice.choice((1, 10, 1000)))
    return data[:end] + data[start:]


def blank(data: bytes, dice: random.Random) -> bytes:
    """A piece of zeros."""
    start = dice.randrange(len(data))
    end = min(len(data), start + dice.choice((4, 64, 4096)))
    return data[:start] + bytes(end - start) + data[end:]


def odd_number(data: bytes, dice: random.Random) -> bytes:
    """A number of a text replaced by what is hardly one."""
    found = list(re.finditer(rb"-?\d+(\.\d+)?", data))
    if not found:
        return flip(data, dice)
    place = dice.choice(found)
    return data[: place.start()] + dice.choice(ODD_TEXT).encode() + data[place.end() :]


def odd_lines(data: bytes, dice: random.Random) -> bytes:
    """Lines dropped, doubled or shuffled."""
    lines = data.splitlines(keepends=True)
    row = dice.randrange(len(lines))
    how = dice.randrange(3)
    if how == 0:
        del lines[row]
    elif how == 1:
        lines.insert(row, lines[row])
    else:
        dice.shuffle(lines)
    return b"".join(lines)


def odd_json(data: bytes, dice: random.Random) -> bytes:
    """A JSON document with a value replaced, removed or doubled."""
    try:
        document = json.loads(data)
    except ValueError:
        return flip(data, dice)
    holders = [node for node in _nodes(document) if isinstance(node, dict | list) and node]
    if not holders:
        return flip(data, dice)
    holder = dice.choice(holders)
    key: Any = dice.choice(list(holder)) if isinstance(holder, dict) else dice.randrange(len(holder))
    how = dice.randrange(4)
    if how == 0:
        del holder[key]
    elif how == 1 and isinstance(holder, list):
        holder.append(holder[key])
    else:
        holder[key] = dice.choice(ODD_VALUES)
    return json.dumps(document).encode()


def _nodes(node: Any) -> Iterator[Any]:
    yield node
    if isinstance(node, dict | list):
        for child in node.values() if isinstance(node, dict) else node:
            yield from _nodes(child)


BYTES = (flip, cut, repeat, blank)
MUTATIONS: dict[str, tuple[Callable[[bytes, random.Random], bytes], ...]] = {
    ".json": (*BYTES, odd_json, odd_json, odd_json, odd_number),
    ".csv": (*BYTES, odd_number, odd_lines),
    ".xml": (*BYTES, odd_number, odd_lines),
    ".yaml": (*BYTES, odd_number, odd_lines),
}
"""By the ending of a file's name; `BYTES` for all others."""
