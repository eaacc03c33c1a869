"""Processes that are started together end together, and say how."""

import os
import signal
import time
from functools import partial
from pathlib import Path

import pytest

from cardpose.common.distributed import launch
from cardpose.common.distributed.launch import Outcome
from cardpose.common.errors import InputError


def end_by_kill(folder: Path) -> None:
    """The first of two notes its number and waits; then the second one is killed."""
    if os.environ["LOCAL_RANK"] == "1":
        while not (folder / "first").is_file():
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGKILL)
    (folder / "partial").write_text(str(os.getpid()))
    (folder / "partial").rename(folder / "first")
    time.sleep(600)


def test_a_killed_process_takes_the_others_with_it_and_leaves_this_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launch, "GRACE", 0.5)
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(RuntimeError, match=r"process 1 of 2 was ended by SIGKILL; was the memory full\?"):
        launch.run(partial(end_by_kill, tmp_path), 2)
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "first").read_text()), 0)
    assert signal.getsignal(signal.SIGINT) is handler


def ends(how: str) -> None:
    raise {
        "refused": InputError("a.csv: mend it"),
        "stopped": SystemExit(130),
        "failed": ValueError("a bug"),
    }[how]


@pytest.mark.parametrize("rank", [0, 1])
def test_how_a_job_ends(rank: int) -> None:
    assert launch._outcome(partial(ends, "refused"), rank) == Outcome("refused", "a.csv: mend it")
    assert launch._outcome(partial(ends, "stopped"), rank) == Outcome("stopped", 130)
    failed = launch._outcome(partial(ends, "failed"), rank)
    assert failed.how == "failed"
    assert f"process {rank}" in failed.value
    assert "ValueError: a bug" in failed.value
    assert launch._outcome(lambda: 1.5, rank) == Outcome("done", 1.5 if rank == 0 else None)


def test_the_outcome_that_tells_most_is_reported() -> None:
    failed, done = Outcome("failed", "connection closed by peer"), Outcome("done")
    with pytest.raises(InputError, match="mend it"):
        launch._result([failed, Outcome("refused", "a.csv: mend it")])
    with pytest.raises(SystemExit, match="130"):
        launch._result([done, failed, Outcome("stopped", 130)])
    with pytest.raises(KeyboardInterrupt):
        launch._result([Outcome("stopped"), failed])
    with pytest.raises(RuntimeError, match="closed by peer"):
        launch._result([done, failed])
    assert launch._result([done, Outcome("done", {"test/card_mae": 1.5})]) == {"test/card_mae": 1.5}
