"""The command `cardpose`: its list, its version, and that it hands words on as they are."""

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from in_process import Command

import cardpose
from cardpose import __main__ as front
from cardpose.common.completion import override_suggestions

COMMANDS = {**front.TOOLS, **front.EXPERIMENTS}


def test_every_command_has_a_module_and_every_module_is_listed() -> None:
    modules = {path.stem for path in Path(cardpose.__file__).parent.glob("*.py")}
    packages = {"app", "models"}
    assert modules - {"__init__", "__main__", "inference"} | packages == set(COMMANDS)


def test_help_lists_every_command_in_a_line(in_process: Command) -> None:
    done = in_process(front.main, "--help")
    assert done.code == 0
    for name, line in COMMANDS.items():
        assert f"  {name:11s}  {line}" in done.out.splitlines()
    assert len(done.out.splitlines()) <= 40
    assert done.out == in_process(front.main).out


def test_the_version(in_process: Command) -> None:
    done = in_process(front.main, "--version")
    assert (done.code, done.out) == (0, f"cardpose {cardpose.__version__}\n")


def test_help_needs_no_torch() -> None:
    """In processes of their own: this one has imported everything."""
    experiments = "".join(f"import cardpose.{name}\n" for name in front.EXPERIMENTS)
    for words, first in (([], ""), (["predict", "--help"], ""), (["train", "--help"], experiments)):
        code = (
            f"{first}"
            "import sys\nfrom cardpose.__main__ import main\n"
            f"try: main({words})\nexcept SystemExit as stop: assert not stop.code\n"
            "print({'torch', 'lightning', 'cv2', 'numpy'} & set(sys.modules))"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout.splitlines()[-1] == "set()"


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["predcit"], "cardpose: no such command 'predcit'. Did you mean 'predict'? (see cardpose --help)"),
        (["--versoin"], "cardpose: no such option --versoin, did you mean --version? (see cardpose --help)"),
        (["xyzzy"], "cardpose: no such command 'xyzzy' (see cardpose --help)"),
    ],
)
def test_an_unknown_command_or_option(in_process: Command, words: list[str], line: str) -> None:
    done = in_process(front.main, *words)
    assert (done.code, done.out, done.err) == (2, "", f"{line}\n")


def test_an_experiment_gets_its_words_as_they_are(in_process: Command) -> None:
    done = in_process(front.main, "train", "--cfg", "job", "experiment=quick", "optim.lr=0.25")
    assert done.code == 0, done.err
    assert "lr: 0.25" in done.out


def test_the_predictor_is_imported_when_it_is_used() -> None:
    code = "import sys, cardpose; assert 'torch' not in sys.modules; print(cardpose.Predictor.__module__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "cardpose.prediction.predictor\n"
    with pytest.raises(AttributeError, match="Predictr"):
        _ = cardpose.Predictr  # type: ignore[attr-defined]


def test_the_old_name_of_the_predictor() -> None:
    sys.modules.pop("cardpose.inference", None)
    with pytest.warns(DeprecationWarning, match=r"cardpose\.Predictor"):
        old = import_module("cardpose.inference")
    assert old.Predictor is cardpose.Predictor


@pytest.mark.parametrize(
    ("words", "incomplete", "wanted"),
    [
        ([], "experiment=cardcut_b", "experiment=cardcut_best"),
        (["experiment", "="], "cardcut_b", "cardcut_best"),
        (["-m", "debug=smoke"], "trainer.max_ep", "trainer.max_epochs=1"),
    ],
)
def test_words_of_an_experiment_complete(words: list[str], incomplete: str, wanted: str) -> None:
    assert override_suggestions("train", words, incomplete) == [wanted]
