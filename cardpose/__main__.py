"""The command `cardpose`: `cardpose COMMAND ...` is `python -m cardpose.COMMAND ...`."""

import os
import runpy
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Annotated

import typer

from cardpose import __version__
from cardpose.common.command_line import run_app
from cardpose.common.completion import experiment_command
from cardpose.common.exits import one_line_errors

NAME = "cardpose"
TOOLS = {
    "predict": "Corners, visibility and number of cards in footage.",
    "app": "Count a packet before a phone's camera.",
    "label": "Label corners in the browser.",
    "evaluate": "Scores of one trained model, or of two side by side.",
    "export": "Write a model as ONNX or torch.export file.",
    "convert": "Convert footage and labels between layouts and tools.",
    "check": "Find faults in footage and labels.",
    "subsample": "Make a dataset folder from videos.",
    "suggest": "Which frames to label next.",
    "calibrate": "Fit a model to your deck and camera.",
    "sweep_table": "Compare the runs of a sweep.",
    "models": "The released models and their scores.",
}
"""Commands that take files, with their help line."""
EXPERIMENTS = {
    "train": "Train a model; -m for a sweep.",
    "crossval": "Cross-validate over whole videos.",
    "synthesize": "Render footage with labels.",
    "bench": "Measure speed and memory.",
}
"""Commands that compose conf/ with `KEY=VALUE` words, which go to Hydra as they are."""


def main(argv: Sequence[str] | None = None) -> None:
    """Run a command.

    Args:
        argv: its name and its words; None: those of the process.

    Raises:
        SystemExit: the command did not succeed; 2 after invalid input, 130 after Ctrl-C.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    if words and words[0] in (*TOOLS, *EXPERIMENTS) and not _completing():
        sys.argv = [f"{NAME} {words[0]}", *words[1:]]
        runpy.run_module(f"cardpose.{words[0]}", run_name="__main__", alter_sys=True)
        return
    with one_line_errors(NAME):
        code = run_app(_app(), words or ["--help"], NAME)
    raise SystemExit(code or 0)


def _completing() -> bool:
    """Whether a shell asks for suggestions, as Typer's completion does."""
    return f"_{NAME.upper()}_COMPLETE" in os.environ


def _app() -> typer.Typer:
    """All commands; only where a shell completes their options are the tools imported."""
    app = typer.Typer(
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        help="Corners, visibility and number of cards of a packet of playing cards, from footage.",
        epilog="cardpose COMMAND --help explains a command. train, crossval, synthesize and bench take "
        "KEY=VALUE words of conf/, for example: cardpose train experiment=baseline",
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_options)
    for name, line in {**TOOLS, **EXPERIMENTS}.items():
        function: Callable[..., None] = experiment_command(name)
        if name in TOOLS and _completing():
            function = getattr(import_module(f"cardpose.{name}"), name)
        app.command(name, help=line)(function)
    return app


def _show_version(wanted: bool) -> None:
    if wanted:
        print(NAME, __version__)
        raise typer.Exit


def _options(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_show_version, help="Show the version.")
    ] = False,
) -> None: ...


if __name__ == "__main__":
    main()
