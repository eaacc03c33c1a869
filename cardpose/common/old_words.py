"""The `key=value` words of the tools of cardpose 0.1.0: each prints the new line to type, for one release."""

import functools
import os
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import typer

from cardpose.common.errors import InputError

WITHOUT_SUCCESSOR = {
    "from_checkpoint",
    "file",
    "by_video",
    "by_video_fraction",
    "random",
    "synthetic",
    "mixed",
}
"""Choices of the groups split and data that --split and --layout do not have."""


@dataclass(frozen=True)
class OldWords:
    """Recognises and translates the old words of a tool.

    Args:
        renamed: see `cardpose.common.command_line.Tool`.
    """

    app: typer.Typer
    name: str
    renamed: Mapping[str, str | None]

    def raise_error(self, words: Sequence[str]) -> None:
        """Raise an `InputError` with the new line where the words are those of cardpose 0.1.0."""
        for word, is_old in zip(words, self._are_old(words), strict=True):
            if is_old:
                line = shlex.join(["cardpose", self.name, *self._translated(words)])
                raise InputError(f"{word.partition('=')[0]}=... is an option now, type: {line}")

    def _are_old(self, words: Sequence[str]) -> list[bool]:
        """Whether each word is an old one: no option's value, no existing path, and not after `--`."""
        valueless, successors = flags(self.app), self._successors
        end = words.index("--") if "--" in words else len(words)
        old: list[bool] = []
        for before, word in zip(["", *words], words, strict=False):
            is_value = before.startswith("-") and "=" not in before and before not in valueless
            key, sign, _ = word.lstrip("+").partition("=")
            known = bool(sign) and not os.path.lexists(word) and (key in successors or self._is_setting(key))
            old.append(known and not is_value and len(old) < end)
        return old

    def _is_setting(self, key: str) -> bool:
        """Whether it is the dotted key of a configuration, and the tool takes those."""
        return "set" in self._successors and re.fullmatch(r"[a-z]\w*(\.\w+)+", key) is not None

    @functools.cached_property
    def _options(self) -> dict[str, Any]:
        """The parameter of every option, by each of its names."""
        found = [parameter for parameter in parameters(self.app) if parameter.param_type_name == "option"]
        return {name: parameter for parameter in found for name in parameter.opts}

    @functools.cached_property
    def _successors(self) -> dict[str, str | None]:
        """The option of every key of cardpose 0.1.0."""
        same = {name.lstrip("-").replace("-", "_"): name for name in self._options}
        return {**same, **self.renamed}

    def _translated(self, words: Sequence[str]) -> list[str]:
        """The words of cardpose 0.1.0 as those of today, with what is required now and was not."""
        valueless, files, options = flags(self.app), list[str](), list[str]()
        for word, is_old in zip(words, self._are_old(words), strict=True):
            key, _, text = word.lstrip("+").partition("=")
            if not is_old:
                options.append(word)
                continue
            if key not in self._successors:
                setting = re.sub(r"^split\.", "data.split.", key).replace("paths.cache", "data.cache_dir")
                options += ["--set", f"{setting}={text}"]
                continue
            values, option = _old_values(text), self._successors[key]
            if option == "":
                files += values
            elif option is None or values == ["null"] or not self._takes(option, values):
                continue
            elif option in valueless:
                options += [option] if values[0].lower() in ("true", "yes", "on", "1") else []
            else:
                options += [part for value in values for part in (option, value)]
        for name, parameter in self._options.items():
            if parameter.required and name not in options:
                options += [name, parameter.metavar]
        dashed = any(file.startswith("-") and file != "-" for file in files)
        return [*options, "--", *files] if dashed else [*files, *options]

    def _takes(self, option: str, values: Sequence[str]) -> bool:
        """Whether an option has these values."""
        return option not in ("--split", "--layout") or not WITHOUT_SUCCESSOR.intersection(values)


def parameters(app: typer.Typer) -> Sequence[Any]:
    """The parameters of an application's one command, or of the application itself."""
    return typer.main.get_command(app).params


def flags(app: typer.Typer) -> set[str]:
    """The options that take no value."""
    found = [parameter for parameter in parameters(app) if getattr(parameter, "is_flag", False)]
    return {"--help", "-h", *(name for parameter in found for name in parameter.opts)}


def _old_values(text: str) -> list[str]:
    """The values of Hydra's `text`: a list in brackets, a quoted string or a bare one.

    >>> _old_values("[a.mp4,'b, c.mp4']"), _old_values("my.mp4"), _old_values(r"a\\=b")
    (['a.mp4', 'b, c.mp4'], ['my.mp4'], ['a=b'])
    """
    inside = text[1:-1] if text.startswith("[") and text.endswith("]") else None
    parts = [text] if inside is None else re.findall(r"""'[^']*'|"[^"]*"|[^,]+""", inside)
    return [_unquoted(part.strip()) for part in parts]


def _unquoted(text: str) -> str:
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        return text[1:-1].replace(f"\\{text[0]}", text[0])
    return re.sub(r"\\([\\()\[\]{}:=, \t])", r"\1", text)
