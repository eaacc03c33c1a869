"""The folder of a sweep: a run folder for each job, named by its overrides, and the logs of the jobs.

::

    outputs/multirun/<name>_<time>/
      multirun.yaml            the configuration with which the sweep was begun
      loss.cards-2__seed-0/    a run folder of cardpose.train
      logs/                    <job>.log; <job>.failed or .pruned, the reason in one line; <job>.lock; <job>.trial
"""

import hashlib
import re
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cardpose.common.files import replace_file
from cardpose.common.locks import only_command
from cardpose.common.renamed import RENAMED, rename
from cardpose.training.run_folder import is_finished

LOGS = "logs"
NOTE = "multirun.yaml"
MOST_LETTERS = 160
"""Of a job's name: a file's may have 255 bytes, and checkpoints lie in folders below."""
TRIAL = "CARDPOSE_TRIAL"
"""Environment variable of a search trial: path of the file that describes the trial (trials.py)."""
OLD_NAMES = {new: old for old, new in RENAMED.items()}


def job_name(overrides: Sequence[str]) -> str:
    """The name of a job's folder: its overrides in letters that a shell and Hydra take as they are.

    Where letters had to be replaced or left out, a digest of the whole keeps the names apart.

    >>> job_name(["model=unet", "loss.cards=0.5"])
    'model-unet__loss.cards-0.5'
    >>> job_name(["data.root=a/b"]), job_name(["data.root=a:b"])
    ('data.root-a_b-52c303d0', 'data.root-a_b-56d2680f')
    """
    given = ",".join(overrides) or "defaults"
    name = "__".join(override.replace("=", "-", 1) for override in overrides) or "defaults"
    plain = re.sub(r"[^\w.-]", "_", name, flags=re.ASCII)[:MOST_LETTERS]
    plain = re.sub(r"^\W", "_", plain)  # neither hidden nor an option
    return plain if plain == name else f"{plain}-{_digest(given)}"


def job_name_of_0_1(overrides: Sequence[str]) -> str:
    """As cardpose 0.1 named it.

    >>> job_name_of_0_1(["model=unet", "count_features=box", "loss.cards=0.5"])
    'model=unet,head=box,loss.cards=0.5'
    """
    given = ",".join(rename(word, OLD_NAMES) for word in overrides) or "defaults"
    name = re.sub(r"[^\w.=,+\[\]-]", "_", given, flags=re.ASCII)[:MOST_LETTERS]
    name = re.sub(r"^[^\w\[]", "_", name)
    return name if name == given else f"{name}-{_digest(given)}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]


@dataclass(frozen=True)
class Job:
    """One run of a sweep.

    Args:
        sweep: folder of the sweep.
        name: of the job, see `job_name`.
        overrides: of the run, for cardpose.train.
    """

    sweep: Path
    name: str
    overrides: tuple[str, ...] = ()

    @property
    def run(self) -> Path:
        """Its run folder."""
        return self.sweep / self.name

    @property
    def log(self) -> Path:
        """Its output."""
        return self._note(".log")

    @property
    def lock(self) -> Path:
        """Locked while a process trains in `run`."""
        return self._note(".lock")

    @property
    def trial(self) -> Path:
        """Describes the trial, in a search."""
        return self._note(".trial")

    def outcome(self) -> str:
        """finished, failed, pruned, or "" if it has not ended."""
        if is_finished(self.run):
            return "finished"
        return next((how for how in ("failed", "pruned") if self._note(f".{how}").is_file()), "")

    def reason(self) -> str:
        """Why the job failed or was pruned, in one line; empty for any other."""
        note = self._note(f".{self.outcome()}")
        return note.read_text(encoding="utf-8").strip() if note.is_file() else ""

    def note(self, kind: str, text: str) -> None:
        """Write a note: the reason for which it failed or was pruned, or its trial.

        Raises:
            InputError: the disk is full or the folder may not be written to.
        """
        with replace_file(self._note(f".{kind}")) as temporary:
            temporary.write_text(text + "\n", encoding="utf-8")

    def forget(self) -> None:
        """Remove the notes of an earlier attempt."""
        for outcome in ("failed", "pruned"):
            self._note(f".{outcome}").unlink(missing_ok=True)

    def _note(self, suffix: str) -> Path:
        return self.sweep / LOGS / f"{self.name}{suffix}"


@contextmanager
def only_sweep(folder: Path) -> Iterator[None]:
    """Keep other sweeps out of `folder`.

    Raises:
        InputError: another sweep runs there, or the folder may not be written to.
    """
    taken = f"{folder}: another sweep is running in this folder: wait for it, or choose another with hydra.sweep.dir="
    with only_command(folder / LOGS / ".sweep.lock", taken):
        yield


def failure(code: int, output: str) -> str:
    """Why a training failed, in one line.

    Args:
        code: its exit code, negative for a signal.

    >>> failure(2, "reading\\ncardpose.train: a.csv: is empty: fill it\\n")
    'a.csv: is empty: fill it'
    >>> failure(1, "Traceback (most recent call last):\\nRuntimeError: no memory\\n")
    'RuntimeError: no memory'
    >>> failure(-9, "epoch 3\\n")
    'killed by SIGKILL, maybe for lack of memory; its last line: epoch 3'
    """
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    last = lines[-1] if lines else "nothing"
    if code < 0:
        memory = ", maybe for lack of memory" if code == -signal.SIGKILL else ""
        return f"killed by {signal.Signals(-code).name}{memory}; its last line: {last}"
    mine = [line for line in lines if line.startswith("cardpose.train: ")]
    return mine[-1].removeprefix("cardpose.train: ") if mine else last
