"""A run's rerun.sh makes the same run again."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

from omegaconf import DictConfig

from cardpose import train as entry
from cardpose.training.hardware import choose_precision
from cardpose.training.run_folder import chosen_by_the_machine

Compose = Callable[..., DictConfig]


def test_a_rerun_gives_the_same_metrics(finished_run: Path, tiny_folder: Path, tmp_path: Path) -> None:
    """The script as it is, from another working directory, in a process of its own."""
    script = finished_run / "rerun.sh"
    new = tmp_path / "new ='run'"
    added = [
        "hydra.run.dir='" + str(new).replace("'", "\\'") + "'",
        f"paths.cache={finished_run.parent / 'cache'}",
    ]
    environment = os.environ | {"PYTHONPATH": str(Path(entry.__file__).parents[1])}
    done = subprocess.run([script, *added], capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == str(new)
    first, second = (json.loads((run / "metrics.json").read_text()) for run in (finished_run, new))
    assert first == second
    assert "val/card_mae" in first
    assert (finished_run / "split.json").read_bytes() == (new / "split.json").read_bytes()


def test_the_script_states_what_made_the_run(finished_run: Path) -> None:
    text = (finished_run / "rerun.sh").read_text()
    assert f"cd {Path.cwd()}" in text
    assert "Commit " in text
    assert f"trainer.precision={choose_precision('cpu')}" in text


def test_a_precision_that_was_chosen_is_not_chosen_again(compose_train: Compose, tmp_path: Path) -> None:
    cfg = compose_train(tmp_path / "run", "trainer.precision=32-true")
    assert chosen_by_the_machine(cfg) == []
