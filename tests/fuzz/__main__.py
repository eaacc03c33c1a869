"""Mutated inputs over all readers, and odd values over all options of the tools.

    python -m tests.fuzz seconds=60 seed=0 out=outputs/fuzz

Every case runs in a process of its own. A fault is an exit code other than 0, 1 or 2, a traceback, invalid input
without a message, or more than `LIMIT` seconds. Input and words of a fault are kept in `out`. The seed alone decides
the cases.
"""

import json
import os
import pkgutil
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout, suppress
from importlib import import_module
from pathlib import Path

import cv2
import torch
import typer

import cardpose
from cardpose.__main__ import TOOLS
from tests.fuzz.inputs import Inputs
from tests.fuzz.mutations import BYTES, MUTATIONS, ODD_TEXT

LIMIT = 30
"""Seconds of one core for a case; one that waits for something may take ten times as long."""
Case = tuple[str, list[str]]
"""Tool and its words."""


def cases(inputs: Inputs, work: Path, dice: random.Random) -> Case:
    """One tool with a mutated input, or with an odd value of an option; `work` is an empty folder."""
    tools: tuple[Callable[[], Case], ...] = (
        lambda: ("check", [_mutated(inputs.folder, work, dice), "--out", str(work / "out")]),
        lambda: ("convert", [_mutated(inputs.folder, work, dice), "--out", str(work / "out")]),
        lambda: _convert(inputs, work, dice),
        lambda: _predict(work, _mutated(inputs.pictures, work, dice), inputs.checkpoint),
        lambda: _predict(work, _mutated(inputs.videos, work, dice), inputs.checkpoint),
        lambda: _predict(work, inputs.pictures / "a.png", _mutated(inputs.checkpoint, work, dice)),
        lambda: _predict(work, inputs.pictures / "a.png", _mutated(inputs.onnx, work, dice)),
        lambda: ("sweep_table", [_mutated(inputs.runs, work, dice), "--out", str(work / "out")]),
        lambda: (
            "subsample",
            [_mutated(inputs.videos, work, dice), "--out", str(work / "out"), "--stride", "2"],
        ),
        lambda: (
            "check",
            [str(inputs.folder), "--split", _mutated(inputs.split, work, dice), "--out", str(work / "out")],
        ),
        lambda: _options(inputs, work, dice),
    )
    return dice.choice(tools)()


def _model(inputs: Inputs) -> list[str]:
    return ["--model", str(inputs.checkpoint)]


def _predict(work: Path, source: str | Path, model: str | Path) -> Case:
    return "predict", [str(source), "--model", str(model), "--out", str(work / "out")]


def _convert(inputs: Inputs, work: Path, dice: random.Random) -> Case:
    tool = dice.choice(sorted(inputs.exported))
    return "convert", [
        _mutated(inputs.exported[tool], work, dice),
        "--from",
        tool,
        "--out",
        str(work / "out"),
    ]


def _options(inputs: Inputs, work: Path, dice: random.Random) -> Case:
    """A whole command in which one to three options have odd values; words that Hydra would compose among them."""
    whole = {
        "predict": [str(inputs.pictures), *_model(inputs), "--out", str(work / "out")],
        "check": [str(inputs.folder), "--out", str(work / "out")],
        "convert": [str(inputs.folder), "--out", str(work / "out")],
        "subsample": [str(inputs.videos), "--out", str(work / "out")],
        "suggest": [str(inputs.folder), *_model(inputs), "--out", str(work / "out.csv")],
    }
    name = dice.choice([*whole, *(tool for tool in TOOLS if tool not in ("label", "app"))])
    words = list(whole.get(name, []))
    parameters = typer.main.get_command(import_module(f"cardpose.{name}").main.app).params
    options = [option for parameter in parameters for option in parameter.opts if option.startswith("-")]
    for _ in range(dice.randrange(1, 4)):
        words += [dice.choice([*options, "--nothing"])] if dice.random() < 0.9 else []
        words += [dice.choice(ODD_TEXT).replace("\x00", "")] if dice.random() < 0.8 else []
    return name, words


def _mutated(source: Path, work: Path, dice: random.Random) -> str:
    """A copy of a file or folder in which one file is mutated once or twice."""
    copy = work / source.name
    shutil.copytree(source, copy) if source.is_dir() else shutil.copy(source, copy)
    files = [copy] if copy.is_file() else sorted(path for path in copy.rglob("*") if path.is_file())
    tables = [path for path in files if path.suffix in MUTATIONS]
    path = dice.choice(tables) if tables and dice.random() < 0.8 else dice.choice(files)
    data = path.read_bytes()
    for _ in range(dice.randrange(1, 3)):
        data = dice.choice(MUTATIONS.get(path.suffix, BYTES))(data, dice) if data else data
    path.write_bytes(data)
    return str(copy)


def run(case: Case, work: Path) -> str:
    """What is wrong with how a case ends, "" where it is well."""
    said, child = work / "said", os.fork()
    if child == 0:
        _run_here(case, said)
    deadline = time.monotonic() + 10 * LIMIT
    while not (ended := os.waitpid(child, os.WNOHANG))[0]:
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return f"takes longer than {10 * LIMIT} s"
        time.sleep(0.002)
    code = os.waitstatus_to_exitcode(ended[1])
    text = said.read_text(errors="replace")
    if code < 0:
        return f"killed by signal {-code}"
    if "Traceback" in text or code not in (0, 1, 2):
        return f"exit code {code}: {text.strip().splitlines()[-1] if text.strip() else ''}"
    return "" if code != 2 or text.strip() else "exit code 2 without a word"


def _run_here(case: Case, said: Path) -> None:
    """The end of the forked process."""
    code = 0
    resource.setrlimit(resource.RLIMIT_CPU, (LIMIT, LIMIT))
    os.chdir(said.parent)  # where an odd value becomes the name of an output
    with said.open("w") as file, redirect_stdout(file), redirect_stderr(file):
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        try:
            import_module(f"cardpose.{case[0]}").main(case[1])
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 0
        except BaseException:
            traceback.print_exc()
            code = 99
        file.flush()
    os._exit(code)


def _import_all() -> None:
    """Import what the tools import when they run: a fork then starts at once."""
    for module in pkgutil.walk_packages(cardpose.__path__, "cardpose."):
        if not module.name.endswith("__main__"):
            with suppress(ImportError):  # of an extra that is not installed
                import_module(module.name)
    for name in ("matplotlib.pyplot", "torch._dynamo", "typer.rich_utils"):
        with suppress(ImportError):
            import_module(name)


def fuzz(seconds: float, seed: int, out: Path) -> Counter[str]:
    """Run cases for so long; how many of each tool there were, faults under "fault"."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    sys.setrecursionlimit(10_000)
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        inputs = Inputs(Path(folder))
        _import_all()
        start, number = time.monotonic(), 0
        while time.monotonic() - start < seconds:
            work = Path(folder) / "work"
            work.mkdir()
            case = cases(inputs, work, random.Random(f"{seed} {number}"))
            counts[case[0]] += 1
            if fault := run(case, work):
                counts["fault"] += 1
                kept = out / f"{seed}_{number}"
                shutil.rmtree(kept, ignore_errors=True)
                shutil.copytree(work, kept, symlinks=True)
                (kept / "words.json").write_text(json.dumps([case[0], *case[1]]))
                print(f"{number}: cardpose {case[0]}: {fault[:300]} ({kept})", flush=True)
            shutil.rmtree(work)
            number += 1
    return counts


def main(words: Sequence[str]) -> int:
    given = dict(word.split("=", 1) for word in words)
    seconds, seed = float(given.get("seconds", 60)), int(given.get("seed", 0))
    counts = fuzz(seconds, seed, Path(given.get("out", "outputs/fuzz")))
    faults = counts.pop("fault", 0)
    print(
        f"{counts.total()} cases ({', '.join(f'{n} {tool}' for tool, n in sorted(counts.items()))}), {faults} faults"
    )
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
