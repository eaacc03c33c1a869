"""The command lines of the tools: help, mistakes in one line, and the words of cardpose 0.1.0."""

import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Annotated, Literal

import pytest
import typer
from in_process import Command

from cardpose import __version__
from cardpose.__main__ import TOOLS
from cardpose.common.command_line import Tool, checked, run_app
from cardpose.common.errors import InputError


def tool_of(name: str) -> Tool:
    main = import_module(f"cardpose.{name}").main
    assert isinstance(main, Tool)
    return main


CALLS: list[dict[str, object]] = []


def drill(
    sources: Annotated[list[str], typer.Argument()],
    out: Annotated[Path, typer.Option()] = Path("drilled"),
    number: Annotated[int, typer.Option("-n", min=1)] = 5,
    batch_size: Annotated[int, typer.Option(min=1, max=64)] = 16,
    kind: Annotated[Literal["round", "square"], typer.Option()] = "round",
    clips: Annotated[list[str] | None, typer.Option()] = None,
    overlay: Annotated[bool, typer.Option("--overlay")] = False,
) -> str:
    """Drill."""
    CALLS.append({**locals()})
    if "broken" in sources:
        raise InputError("broken: cannot\nbe drilled")
    if "stop" in sources:
        raise KeyboardInterrupt("add --overlay to continue")
    return " ".join(sources)


main = Tool(
    drill, print, {"source": "", "files": "", "skip_existing": "--overlay", "gone": None}, ("--clips",)
)


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    CALLS.clear()


@pytest.mark.parametrize("name", TOOLS)
def test_help_fits_on_a_screen_with_a_line_per_option(in_process: Command, name: str) -> None:
    done = in_process(tool_of(name), "--help")
    lines = done.out.splitlines()
    assert (done.code, done.err) == (0, "")
    assert 8 <= len(lines) <= 40
    assert max(map(len, lines)) <= 80
    assert lines[0].startswith(f"Usage: cardpose {name} [OPTIONS]")
    options = lines[lines.index("Options:") + 1 :]
    assert all(line.startswith("  -") for line in options), options
    parameters = typer.main.get_command(tool_of(name).app).params
    assert (
        len(options) == sum(parameter.param_type_name == "option" for parameter in parameters) + 1
    )  # --help


@pytest.mark.parametrize("name", TOOLS)
def test_help_imports_nothing_heavy(name: str) -> None:
    """In a process of its own: this one has imported everything."""
    code = (
        f"import sys, cardpose.{name}\n"
        f"cardpose.{name}.main(['--help'])\n"
        "print({'torch', 'lightning', 'hydra', 'omegaconf', 'cv2', 'numpy', 'rich'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "set()"


@pytest.mark.parametrize("name", TOOLS)
def test_every_tool_shows_the_version(in_process: Command, name: str) -> None:
    assert in_process(tool_of(name), "--version").out == f"cardpose {__version__}\n"


@pytest.mark.parametrize("name", TOOLS)
def test_every_old_key_has_an_option(name: str) -> None:
    """What the line for an old word tells to type exists."""
    tool = tool_of(name)
    options = {option for parameter in typer.main.get_command(tool.app).params for option in parameter.opts}
    renamed = {option for option in tool.old_words.values() if option}
    assert renamed <= options


def test_words_become_typed_arguments(in_process: Command) -> None:
    done = in_process(main, "a b", "x=1", "-n", "7", "--kind=square", "--", "-c", "--overlay")
    assert (done.code, done.out, done.err) == (0, "a b x=1 -c --overlay\n", "")
    assert [
        {
            "sources": ["a b", "x=1", "-c", "--overlay"],
            "out": Path("drilled"),
            "number": 7,
            "batch_size": 16,
            "kind": "square",
            "clips": None,
            "overlay": False,
        }
    ] == CALLS


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ([], "missing argument 'sources'"),
        (["a", "--batch-siz=3"], "no such option --batch-siz, did you mean --batch-size?"),
        (["a", "-overlay"], "no such option -overlay, did you mean --overlay?"),
        (["a", "--xyzzy"], "no such option --xyzzy"),
        (["a", "--batch-size=0"], "invalid value for '--batch-size': should be greater than or equal to 1"),
        (["a", "--batch-size"], "option '--batch-size' requires an argument"),
        (["a", "--kind=oval"], "invalid value for '--kind': 'oval' is not one of 'round', 'square'"),
    ],
)
def test_a_mistake_is_one_line(in_process: Command, words: list[str], line: str) -> None:
    done = in_process(main, *words)
    assert (done.code, done.out) == (2, "")
    assert done.err == f"cardpose drill: {line} (see cardpose drill --help)\n"
    assert not CALLS


def test_an_option_takes_several_values_up_to_the_next_option(in_process: Command) -> None:
    for words in (
        ["a", "--clips", "x y", "0", "--out", "o"],
        ["a", "--clips", "x y", "--out", "o", "--clips", "0"],
    ):
        done = in_process(main, *words)
        assert done.code == 0, done.err
        assert CALLS[-1]["clips"] == ["x y", "0"]
        assert CALLS[-1]["sources"] == ["a"]


@pytest.mark.parametrize(
    ("words", "code", "line"),
    [
        (["broken"], 2, "broken: cannot be drilled"),
        (["a", ""], 2, "an argument is empty: name a file or folder, or leave it out"),
        (["stop"], 130, "interrupted: add --overlay to continue"),
    ],
)
def test_errors_and_ctrl_c_are_one_line(in_process: Command, words: list[str], code: int, line: str) -> None:
    done = in_process(main, *words)
    assert (done.code, done.out, done.err) == (code, "", f"cardpose drill: {line}\n")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("evaluate ckpt=a heatmap.decode=dark split=all", "a --set heatmap.decode=dark --split all"),
        (
            "evaluate RUN +heatmap.decode=dark paths.cache=c",
            "RUN --set heatmap.decode=dark --set data.cache_dir=c",
        ),
        ("evaluate ckpt=[a,b] data=from_checkpoint split=file split.path=s.json", "a b --split s.json"),
        ("export ckpt=m data=cardcut data.root=f", "m --layout cardcut --data f --out FILE"),
        (r"subsample videos=v count_pattern='(\d+)'", r"v --count-pattern '(\d+)' --out FOLDER"),
        ("suggest ckpt=m data=f n=3", "f --model m -n 3"),
    ],
)
def test_the_new_line_of_a_tool(in_process: Command, words: str, line: str) -> None:
    name, *rest = words.split()
    done = in_process(tool_of(name), *rest)
    assert (done.code, done.out) == (2, "")
    assert done.err.endswith(f"type: cardpose {name} {line}\n")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["source=my.mp4", "out=a b"], "my.mp4 --out 'a b'"),
        (["source='my (1).mp4'"], "'my (1).mp4'"),
        (["source=[a.mp4,'b, c.mp4']", "n=3"], "a.mp4 'b, c.mp4' -n 3"),
        (["files=Küche/17.mp4", "overlay=true"], "'Küche/17.mp4' --overlay"),
        (["source=a", "overlay=no", "skip_existing=1"], "a --overlay"),
        (["source=a", "gone=x", "kind=null"], "a"),
        (["source=-a", "batch_size=4"], "--batch-size 4 -- -a"),
        (["source=a", "--kind", "square"], "a --kind square"),
    ],
)
def test_old_words_answer_with_the_new_line(in_process: Command, words: list[str], line: str) -> None:
    done = in_process(main, *words)
    key = words[0].partition("=")[0]
    assert (done.code, done.out) == (2, "")
    assert done.err == f"cardpose drill: {key}=... is an option now, type: cardpose drill {line}\n"
    assert not CALLS


def test_a_file_a_value_and_what_follows_dashes_are_no_old_words(in_process: Command, tmp_path: Path) -> None:
    (tmp_path / "source=1.mp4").touch()
    done = in_process(main, "source=1.mp4", "--out", "out=2", "--", "source=3.mp4")
    assert (done.code, done.out) == (0, "source=1.mp4 source=3.mp4\n")
    assert CALLS[0]["out"] == Path("out=2")


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    """`cardpose predict --help | head -1`."""
    read, write = os.pipe()
    command_line = [sys.executable, "-m", "cardpose", "predict", "--help"]
    with subprocess.Popen(command_line, stdout=write, stderr=subprocess.PIPE) as process:
        os.close(write)
        os.close(read)
        assert process.stderr is not None
        assert process.stderr.read() == b""


@pytest.mark.parametrize(
    "wrong", [{"number": 0}, {"batch_size": 65}, {"kind": "oval"}, {"number": "many"}], ids=str
)
def test_a_call_from_python_is_checked_as_the_command_line_is(wrong: dict[str, object]) -> None:
    ((name, value),) = wrong.items()
    option = "-n" if name == "number" else f"--{name.replace('_', '-')}"
    with pytest.raises(InputError, match=f"^invalid value for '{option}': .* drill --help") as called:
        checked(drill)(["a"], **wrong)
    with pytest.raises(InputError) as typed:
        run_app(main.app, ["a", option, str(value)], "cardpose drill")
    assert str(called.value) == str(typed.value)
    assert not CALLS
    assert checked(drill)(["a", "b"], kind="square", clips=["c"]) == "a b"


@pytest.mark.parametrize("name", TOOLS)
def test_every_tool_is_checked_when_called_from_python(name: str) -> None:
    assert getattr(import_module(f"cardpose.{name}"), name).__wrapped__
