"""rerun.sh in each run folder: the command that repeats the run."""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from cardpose.common.files import replace_file
from cardpose.models.checkpoints import git_commit
from cardpose.training import hardware

FILE = "rerun.sh"
SCRIPT = """#!/usr/bin/env bash
# Repeats this run in a new folder; overrides may follow: {file} seed=1
# Commit {commit}, torch {torch}, {threads} threads of {processor}, GPU {gpu}.
# On the CPU, and a processor like that one, the metrics are the same to the last digit.
set -euo pipefail
cd {folder}
export OMP_NUM_THREADS={threads}
exec "${{PYTHON:-{python}}}" -m cardpose.train {arguments} "$@"
"""


def write_rerun(run: Path, overrides: Sequence[str], chosen: Sequence[str]) -> None:
    """Write rerun.sh into a run's folder.

    Args:
        overrides: of the run's command line; relative paths in them refer to the working directory.
        chosen: values that `auto` resolved to, as overrides: another machine may resolve it differently.

    Raises:
        InputError: the disk is full or the folder may not be written to.
    """
    text = SCRIPT.format(
        file=FILE,
        commit=git_commit(),
        folder=shlex.quote(str(Path.cwd())),
        python=sys.executable,
        arguments=shlex.join([*overrides, *chosen]),
        **hardware.describe(),
    )
    with replace_file(run / FILE) as temporary:
        temporary.write_text(text, encoding="utf-8")
        temporary.chmod(0o755)
