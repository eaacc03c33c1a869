"""Start the processes that train one model together, one for each device, and end them together.

torch.multiprocessing starts and joins them. Lightning would run the whole command line again in each, which is not
possible inside a sweep or from Python. This process trains nothing itself: a run that fails, even one whose process is
killed, does not end the other runs of a sweep. Processes that SLURM or torchrun started are not started again.
"""

import os
import pickle
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from logging.config import dictConfig
from multiprocessing import get_start_method, set_start_method
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType
from typing import Any

from lightning.fabric.plugins.environments.lightning import find_free_network_port
from lightning.pytorch import Trainer
from lightning.pytorch.utilities import rank_zero_only
from torch.distributed import DistError
from torch.multiprocessing import ProcessExitedException, start_processes

from cardpose.common.distributed.ranks import silence_nonzero_ranks
from cardpose.common.errors import InputError, first_line
from cardpose.common.files import environment_error
from cardpose.common.subprocesses import handling

Job = Callable[[], Any]

GRACE = 10.0
"""Seconds for the other processes to end by themselves after one has failed."""


@dataclass(frozen=True)
class Outcome:
    """How a process ended: `done` with the job's result, `refused` with the line of an `InputError`, `stopped` by
    Ctrl-C with its exit code or None, or `failed` with a traceback."""

    how: str
    value: Any = None


def processes_to_start(trainer: Trainer) -> int:
    """How many processes `run` has to start for `trainer`; 0 if this one trains alone or is one of them already.

    Raises:
        InputError: more devices or nodes than this process can use.
    """
    world = trainer.world_size
    if world == 1:
        return 0
    environment = getattr(trainer.strategy, "cluster_environment", None)
    if environment is not None and environment.creates_processes_externally:
        try:
            environment.validate_settings(num_devices=trainer.num_devices, num_nodes=trainer.num_nodes)
        except ValueError as error:
            raise InputError(f"trainer: {' '.join(str(error).split())}") from None
        return 0
    if trainer.num_nodes > 1:
        raise InputError(
            f"trainer.num_nodes={trainer.num_nodes}: start the processes of several nodes with SLURM's srun or with "
            "torchrun, see README"
        )
    return trainer.num_devices


def run(job: Job, count: int, logging: Mapping[str, Any] | None = None) -> Any:
    """Run `job` in `count` new processes and return what it returns in the first one.

    Ctrl-C is passed on to the first process only, which agrees with the others when to stop. If this process dies, each
    of them gets SIGINT.

    Args:
        job: can be pickled.
        count: processes on this machine.
        logging: of the first process, as `logging.config.dictConfig` takes it; the others log errors only.

    Raises:
        InputError: what `job` raised.
        KeyboardInterrupt, SystemExit: Ctrl-C, and how the first process ended.
        RuntimeError: a process failed or was killed.
    """
    first = 0
    with TemporaryDirectory() as folder:
        outcomes = [Path(folder) / str(rank) for rank in range(count)]
        arguments = (job, count, find_free_network_port(), get_start_method(), logging, outcomes)
        context = start_processes(_work, arguments, count, join=False)

        def pass_on(number: int, frame: FrameType | None) -> None:
            if context.processes[0].is_alive():
                os.kill(context.processes[0].pid, number)

        try:
            with handling(signal.SIGINT, pass_on):
                while not context.join(grace_period=GRACE):
                    pass
        except ProcessExitedException as error:
            first = error.error_index
        finally:
            for process in context.processes:
                process.kill()
        ranks = sorted(range(count), key=lambda rank: rank != first)  # the one that failed first
        exits = [context.processes[rank].exitcode for rank in ranks]
        ends = zip(ranks, exits, strict=True)
        return _result([_read(outcomes[rank], f"process {rank} of {count}", code) for rank, code in ends])


@contextmanager
def lost_process_errors() -> Iterator[None]:
    """The error of a process that SLURM or torchrun started, when another one has ended, as one line.

    Raises:
        InputError: in place of an error of torch's collectives.
    """
    try:
        yield
    except RuntimeError as error:  # gloo's errors have no class of their own
        if not isinstance(error, DistError) and "gloo" not in str(error):
            raise
        raise InputError(
            f"the connection to another process of this training was lost ({first_line(error)}): if that process has "
            "ended, its own output has the cause; continue with resume=<the run folder>/checkpoints/last.ckpt"
        ) from error


def _read(outcome: Path, name: str, code: int | None) -> Outcome:
    if outcome.is_file():
        return pickle.loads(outcome.read_bytes())  # written by the process that was started here
    return Outcome("failed", f"{name} was ended by {_cause(code)}")


def _cause(code: int | None) -> str:
    """An exit code in words.

    >>> _cause(-9), _cause(3)
    ('SIGKILL; was the memory full?', 'exit code 3')
    """
    if code is not None and code < 0:
        hint = "; was the memory full?" if code == -signal.SIGKILL else ""
        return signal.Signals(-code).name + hint
    return f"exit code {code}"


def _result(outcomes: Sequence[Outcome]) -> Any:
    """Return rank 0's result, or raise the most informative failure (earliest first)."""
    for how in ("refused", "stopped", "failed"):
        for outcome in outcomes:
            if outcome.how != how:
                continue
            if how == "refused":
                raise InputError(outcome.value)
            if how == "stopped":
                raise KeyboardInterrupt if outcome.value is None else SystemExit(outcome.value)
            raise RuntimeError(outcome.value)
    return next(outcome.value for outcome in outcomes if outcome.value is not None)


def _work(
    rank: int,
    job: Job,
    count: int,
    port: int,
    start_method: str,
    logging: Mapping[str, Any] | None,
    outcomes: Sequence[Path],
) -> None:
    """Run `job` as process `rank` of `count`, and write how it ended to its file of `outcomes`."""
    os.setsid()  # Ctrl-C in the terminal reaches the starting process only
    set_start_method(start_method, force=True)  # for the loaders' workers: a spawned process would spawn them
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
    here = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "NODE_RANK": 0, "LOCAL_RANK": rank}
    here |= {"LOCAL_WORLD_SIZE": count}
    os.environ.update({key: str(value) for key, value in here.items()})
    rank_zero_only.rank = rank
    if logging is not None:
        dictConfig(dict(logging))
    silence_nonzero_ranks()
    outcome = _outcome(job, rank)
    partial = outcomes[rank].with_suffix(".partial")
    partial.write_bytes(pickle.dumps(outcome))
    partial.rename(outcomes[rank])
    if outcome.how != "done":
        sys.exit(1)  # so that the others are ended, too


def _outcome(job: Job, rank: int) -> Outcome:
    try:
        result = job()
    except InputError as error:
        return Outcome("refused", str(error))
    except OSError as error:
        found = environment_error(error)
        return Outcome("refused", str(found)) if found else Outcome("failed", _trace(rank))
    except KeyboardInterrupt:
        return Outcome("stopped")
    except SystemExit as stop:
        return Outcome("stopped", stop.code)
    except BaseException:
        return Outcome("failed", _trace(rank))
    return Outcome("done", result if rank == 0 else None)


def _trace(rank: int) -> str:
    return f"process {rank}:\n{traceback.format_exc()}"
