"""The command line of a tool: a function with annotated parameters becomes `cardpose NAME`.

Adding a new tool: a module `cardpose/<name>.py` with a function of that name and `main = Tool(<function>)`, and a
row in `cardpose.__main__`. The function imports what is slow inside its body, so that `--help` is quick.
"""

import functools
import inspect
import io
import os
import re
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, cast

import typer

from cardpose import __version__
from cardpose.common.errors import InputError
from cardpose.common.exits import one_line_errors
from cardpose.common.old_words import OldWords, flags, parameters

ANSWERS = {"yes": True, "true": True, "on": True, "no": False, "false": False, "off": False}

F = TypeVar("F", bound=Callable[..., Any])
_SECTION = re.compile(r"^(Args|Returns|Raises|Yields):$", re.MULTILINE)

ModelOption = Annotated[str, typer.Option("--model", metavar="MODEL", help="Released model, or a file.")]
AcceleratorOption = Annotated[
    Literal["auto", "cpu", "gpu"], typer.Option("--accelerator", help="Where to compute.")
]
DataOption = Annotated[Path | None, typer.Option("--data", metavar="FOLDER", help="Other labelled footage.")]
LayoutOption = Annotated[
    Literal["auto", "folder", "cardcut"], typer.Option("--layout", help="Layout of FOLDER.")
]
SplitOption = Annotated[str, typer.Option("--split", metavar="run|all|FILE", help="The frames to test.")]
SettingsOption = Annotated[
    list[str], typer.Option("--set", metavar="KEY=VALUE", help="Changes a key; repeatable.")
]
OLD_FOOTAGE = {"ckpt": "", "data": "--layout", "data.root": "--data", "split.path": "--split"}
"""Options of the old keys that evaluate and export share, see `Tool`."""


def checked(function: F) -> F:
    """Check the types, choices and ranges of a Python call as the command line does.

    Args:
        function: of a tool; see `Tool`.

    >>> @checked
    ... def tool(n: Annotated[int, typer.Option(min=1)] = 1) -> None: ...
    >>> try:
    ...     tool(n=0)
    ... except InputError as error:
    ...     print(error)
    invalid value for '--n': should be greater than or equal to 1 (see cardpose tool --help)
    """
    app = typer.Typer(add_completion=False)
    app.command()(function)

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        given = inspect.signature(function).bind(*args, **kwargs).arguments
        context = typer.Context(typer.main.get_command(app))
        with _input_errors(app, f"cardpose {function.__name__}", ()):
            for parameter in parameters(app):
                if given.get(parameter.name) is not None:
                    given[parameter.name] = parameter.process_value(context, given[parameter.name])
        return function(**given)

    return cast(F, call)


@dataclass
class Tool:
    """A command line around a function; call it with the words after the command's name.

    Args:
        function: its parameters are annotated for Typer, its docstring up to the first section is the help text.
        finish: receives the function's result and prints it; may return an exit code.
        old_words: keys of the `key=value` command line of cardpose 0.1.0 whose option has another name -> that option,
            "" for a positional argument, None for a key without a successor.
        several: options that take one or more values, `--clips a b`.
    """

    function: Callable[..., Any]
    finish: Callable[[Any], int | None] | None = None
    old_words: Mapping[str, str | None] = field(default_factory=dict)
    several: Collection[str] = ()

    @property
    def name(self) -> str:
        """Of the command."""
        return self.function.__name__

    @functools.cached_property
    def app(self) -> typer.Typer:
        """The command as a Typer application."""
        app = typer.Typer(
            add_completion=False,
            rich_markup_mode=None,
            pretty_exceptions_enable=False,
            context_settings={"help_option_names": ["-h", "--help"]},
        )
        app.command(self.name, help=help_text(self.function))(self._callback())
        return app

    def __call__(self, argv: Sequence[str] | None = None) -> None:
        """Run the command.

        Args:
            argv: its words; None: those of the process.

        Raises:
            SystemExit: always, except where the command succeeded; code 2 after invalid input, 130 after Ctrl-C.
        """
        words = list(sys.argv[1:] if argv is None else argv)
        if words == ["--version"]:
            print("cardpose", __version__)
            return
        for stream in (sys.stdin, sys.stdout):  # paths that are not UTF-8 are read and printed as they are
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="surrogateescape")
        with one_line_errors(f"cardpose {self.name}"):
            if "" in words:
                raise InputError("an argument is empty: name a file or folder, or leave it out")
            OldWords(self.app, self.name, self.old_words).raise_error(words)
            words = repeat_options(read_answers(words, flags(self.app)), self.several)
            code = run_app(self.app, words, f"cardpose {self.name}")
        if code:
            raise SystemExit(code)

    def _callback(self) -> Callable[..., int | None]:
        """The function and what prints its result, with the function's signature."""

        @functools.wraps(self.function)
        def callback(**arguments: Any) -> int | None:
            with one_line_errors(f"cardpose {self.name}"):
                result = self.function(**arguments)
                return self.finish(result) if self.finish else None

        return callback


def read_answers(words: Sequence[str], flags: Collection[str]) -> list[str]:
    """Replace `--flag yes` and `--flag=yes` by `--flag`, and leave out a flag that is answered no.

    >>> read_answers(["a.mp4", "--overlay", "no", "--resume=yes"], ["--overlay", "--resume"])
    ['a.mp4', '--resume']
    """
    kept: list[str] = []
    for word in words:
        flag, _, text = word.partition("=")
        if flag not in flags and kept and kept[-1] in flags and not os.path.lexists(word):
            flag, text = kept[-1], word
        answer = ANSWERS.get(text.lower()) if flag in flags and "--" not in kept else None
        if answer is None:
            kept.append(word)
            continue
        if kept and kept[-1] == flag:
            kept.pop()
        kept += [flag] if answer else []
    return kept


def repeat_options(words: Sequence[str], several: Collection[str]) -> list[str]:
    """Write an option before each of its values, as Typer takes several.

    >>> repeat_options(["x", "--clips", "a", "b", "--out", "c"], ["--clips"])
    ['x', '--clips', 'a', '--clips', 'b', '--out', 'c']
    """
    repeated: list[str] = []
    option, count = "", 0
    for word in words:
        if word.startswith("-"):
            option, count = (word, 0) if word in several else ("", 0)
        elif option:
            count += 1
            repeated += [option] if count > 1 else []
        repeated.append(word)
    return repeated


def help_text(function: Callable[..., Any]) -> str:
    """A docstring up to its first section; indented paragraphs keep their lines.

    >>> def tool():
    ...     '''Do it.
    ...
    ...         cardpose tool x
    ...
    ...     Raises:
    ...         InputError: never.
    ...     '''
    >>> help_text(tool)
    'Do it.\\n\\n\\x08\\n  cardpose tool x'
    """
    text = _SECTION.split(inspect.getdoc(function) or "")[0].strip()
    paragraphs = []
    for paragraph in text.split("\n\n"):
        if paragraph.startswith("    "):
            lines = [line.removeprefix("    ") for line in paragraph.splitlines()]
            paragraph = "\n".join(["\b", *(f"  {line}" for line in lines)])
        paragraphs.append(paragraph)
    return "\n\n".join(paragraphs)


def run_app(app: typer.Typer, words: Sequence[str], name: str) -> int | None:
    """Run a Typer application; its exit code.

    Args:
        words: of the command line, after the application's name.
        name: of the application, for help and messages.

    Raises:
        InputError: the words do not fit the parameters; the message is one line.
    """
    with _input_errors(app, name, words):
        return app(list(words), prog_name=name, standalone_mode=False)


@contextmanager
def _input_errors(app: typer.Typer, name: str, words: Sequence[str]) -> Iterator[None]:
    """Turn an error of Typer into an `InputError`; see `run_app`."""
    try:
        yield
    except typer.TyperException as error:
        line = " ".join(error.format_message().split()).rstrip(".")
        line = _unknown_option(app, line, words) or f"{line[0].lower()}{line[1:]}"
        line = line.replace("Value error, ", "").replace("Input should", "should")
        raise InputError(f"{line} (see {name} --help)") from None


def _unknown_option(app: typer.Typer, line: str, words: Sequence[str]) -> str:
    """The line about an unknown option with the nearest known one; "" where `line` is about something else.

    Typer reads a long option with one dash as several short ones.

    >>> app = typer.Typer(add_completion=False)
    >>> @app.command()
    ... def tool(overlay: bool = False) -> None: ...
    >>> _unknown_option(app, "No such option: -o", ["-overlay"])
    'no such option -overlay, did you mean --overlay?'
    """
    found = re.match(r"No such option: (\S+)", line)
    if not found:
        return ""
    typed = next((word.partition("=")[0] for word in words if word.startswith(found[1])), found[1])
    known = ["--help", *(option for parameter in parameters(app) for option in parameter.opts)]
    near = get_close_matches(f"--{typed.lstrip('-')}", known, n=1, cutoff=0.5)
    return f"no such option {typed}" + (f", did you mean {near[0]}?" if near else "")
