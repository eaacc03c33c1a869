"""Rank of this process among those that train one model together. Every command asks: no slow import here."""

import logging
import os
import sys

from cardpose.common.errors import InputError

RANKS = {"RANK", "LOCAL_RANK", "SLURM_PROCID", "JSM_NAMESPACE_RANK"}
"""Environment variables in which Lightning finds the rank of a process."""


def is_rank_zero() -> bool:
    """Whether this process is the one that writes; known before the process group is initialised."""
    if "lightning.pytorch" not in sys.modules and not RANKS & os.environ.keys():
        return True  # as Lightning decides; its import takes seconds
    from lightning.pytorch.utilities import rank_zero_only

    return rank_zero_only.rank == 0


def silence_nonzero_ranks() -> None:
    """Log errors only, and into no file, unless this is rank 0."""
    if is_rank_zero():
        return
    root = logging.getLogger()
    root.setLevel(logging.ERROR)
    for handler in list(root.handlers):
        if isinstance(handler, logging.FileHandler):
            handler.close()
            root.removeHandler(handler)


def job_id() -> str | None:
    """The name of the SLURM or torchrun job of this process, the same in each of its processes.

    None if this process was started alone.

    Raises:
        InputError: torchrun was given no name for the job.
    """
    of = os.environ.get
    if int(of("WORLD_SIZE", "1")) > 1 and "TORCHELASTIC_RUN_ID" in os.environ:
        name = of("TORCHELASTIC_RUN_ID", "none")
        if name == "none":
            raise InputError("torchrun: give it --standalone, or --rdzv-id=<a name that no other run has>")
        return _named_job("torchrun", name, of("TORCHELASTIC_RESTART_COUNT", "0"))
    if int(of("SLURM_NTASKS", "1")) <= 1:
        return None
    from lightning.pytorch.plugins.environments import SLURMEnvironment

    number = SLURMEnvironment.job_id()
    if number is None:  # in an interactive shell, too
        return None
    step = f"{number}.{of('SLURM_STEP_ID', '0')}"
    return _named_job("slurm", step, of("SLURM_RESTART_COUNT", "0"))


def _named_job(launcher: str, name: str, restarts: str) -> str:
    return f"{launcher}_{name}" + (f"_restart{restarts}" if restarts != "0" else "")
