"""The notebooks run from top to bottom, define nothing, and are committed with what they show.

`make notebooks` (the option `--write-notebooks`) runs them the same way and keeps the new outputs.
"""

import ast
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

import cardpose
from cardpose.common.hydra_entry import CONF

nbformat = pytest.importorskip("nbformat", reason='needs the extra "dev": pip install -e ".[dev]"')
nbclient = pytest.importorskip("nbclient", reason='needs the extra "dev": pip install -e ".[dev]"')
pytest.importorskip("ipykernel", reason='needs the extra "dev": pip install -e ".[dev]"')

PROJECT = Path(cardpose.__file__).parents[1]
NOTEBOOKS = sorted((PROJECT / "notebooks").glob("*.ipynb"))
SHORTER = {
    "experiment=quick": "experiment=quick render.clips=64 data.batch_size=8 trainer.max_epochs=12",
    "scene=quick": "scene=quick clips=64",
    "seed=0,1": "seed=0",
}
"""What the tests run in place of a notebook's words: less is rendered and learned, yet enough to find packets, so that
the same is shown of it."""
LARGEST = 200_000
"""Bytes of a notebook: a page to read, and little for git."""
CELL_SECONDS = 600
"""On a machine that does much else besides."""
METADATA = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
"""What a notebook says of its kernel: no version, which another machine would change."""
LOGIC = (
    *(ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda),
    *(ast.For, ast.While, ast.If, ast.Try, ast.Match),
)
LONGEST = 16
"""Lines of a cell, imports apart."""
OF_A_MACHINE = re.compile(r"\b0x[0-9a-f]{6,}|(?<![\w.])/(?:home|root|tmp|work|Users|opt)/")
"""Addresses in memory and absolute paths."""

each = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def code_cells(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def is_file(cell: Any) -> bool:
    """Whether a cell is the text of a file, which it writes: what a reader of 05 adds to cardpose."""
    return bool(cell.source.startswith("%%writefile "))


def python_of(source: str) -> ast.Module:
    """A cell's statements, without the lines that go to the shell."""
    return ast.parse(re.sub(r"^!.*$", "", source, flags=re.MULTILINE))


def texts(notebook: Any) -> Iterator[str]:
    """All that the outputs say in words."""
    for cell in code_cells(notebook):
        for output in cell.outputs:
            yield output.get("text", "")
            shown = sorted(output.get("data", {}).items())
            yield from (value for kind, value in shown if kind.startswith("text/"))


def kinds(notebook: Any) -> list[list[tuple[str, ...]]]:
    """What each cell puts out: the kind of each output and of what it shows."""
    return [
        [(output.output_type, *sorted(output.get("data", {}))) for output in cell.outputs]
        for cell in code_cells(notebook)
    ]


def execute(notebooks: Sequence[Any], folder: Path) -> None:
    """Run notebooks in `folder` with this Python and this cardpose; nothing in them tells when or how long.

    One after another in one kernel, emptied in between, since to import torch takes longer than most cells.
    """
    between = [nbformat.v4.new_code_cell("%reset -f") for _ in notebooks]
    cells = [
        cell for first, notebook in zip(between, notebooks, strict=True) for cell in (first, *notebook.cells)
    ]
    client = nbclient.NotebookClient(
        nbformat.v4.new_notebook(cells=cells),
        timeout=CELL_SECONDS,
        kernel_name="python3",
        record_timing=False,
        coalesce_streams=True,
        resources={"metadata": {"path": str(folder)}},
    )
    client.execute(env={**os.environ, "PYTHONPATH": str(PROJECT)})
    for notebook in notebooks:
        notebook.metadata = nbformat.from_dict(METADATA)
        for number, cell in enumerate(code_cells(notebook), start=1):
            for counted in (cell, *(output for output in cell.outputs if "execution_count" in output)):
                counted.execution_count = number


def test_the_notebooks_run_and_show_what_is_committed(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    write = request.config.getoption("write_notebooks")
    # Beside outputs/, which they share: what one has rendered or trained, the next finds.
    folder = tmp_path / "notebooks"
    shutil.copytree(PROJECT / "notebooks", folder)
    notebooks = [nbformat.read(path, 4) for path in NOTEBOOKS]
    for cell in (cell for notebook in notebooks for cell in code_cells(notebook)):
        for words, shorter in SHORTER.items() if not write else ():
            cell.source = cell.source.replace(words, shorter)
    execute(notebooks, folder)
    for path, notebook in zip(NOTEBOOKS, notebooks, strict=True):
        if write:
            nbformat.write(notebook, path)
        committed = nbformat.read(path, 4)
        assert kinds(notebook) == kinds(committed)
        # The figures of a rendering and of a training depend, in their last digits at least, on the machine.
        commands = any(re.search("^!", cell.source, re.MULTILINE) for cell in code_cells(notebook))
        assert commands or list(texts(notebook)) == list(texts(committed))


@each
def test_a_notebook_defines_no_logic(path: Path) -> None:
    notebook = nbformat.read(path, 4)
    cells = [cell for cell in code_cells(notebook) if not is_file(cell)]
    modules = [python_of(cell.source) for cell in cells]
    nodes = [node for module in modules for node in ast.walk(module)]
    assert not [ast.unparse(node) for node in nodes if isinstance(node, LOGIC)]
    imported = {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
    assert any(name.split(".")[0] == "cardpose" for name in imported)
    assert max(len(cell.source.splitlines()) for cell in cells[1:]) <= LONGEST


@each
def test_a_notebook_is_committed_as_it_was_run_and_small(path: Path) -> None:
    assert path.stat().st_size < LARGEST
    notebook = nbformat.read(path, 4)
    nbformat.validate(notebook)
    cells = code_cells(notebook)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert not [cell.metadata for cell in notebook.cells if cell.metadata]
    assert notebook.metadata == METADATA
    for output in (output for cell in cells for output in cell.outputs):
        assert output.output_type != "error"
        assert output.get("name") != "stderr", output.text
    assert not [text for text in texts(notebook) if OF_A_MACHINE.search(text)]
    assert sum(
        any("image/" in kind for output in cell.outputs for kind in output.get("data", {})) for cell in cells
    )


def test_the_sweep_beside_the_notebooks_could_be_run_today() -> None:
    runs = sorted((PROJECT / "notebooks" / "sweep").glob("*seed*0/.hydra/overrides.yaml"))
    assert len(runs) == 4
    with initialize_config_dir(str(CONF), version_base="1.3"):
        for run in runs:
            compose("train", list(OmegaConf.load(run)))
