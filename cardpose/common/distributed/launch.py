"""Starts the processes that train one model together, one a device, and sees that none outlives the others.

This process only looks after them. So a run that fails, even one whose process is killed, costs the other runs of a
sweep nothing, and a sweep's launcher may be any. Processes that SLURM or torchrun started are not started again.
"""

import os
import signal
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from logging.config import dictConfig
from multiprocessing import connection, get_context, get_start_method, parent_process, set_start_method
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from threading import Thread
from types import FrameType
from typing import Any

from lightning.fabric.plugins.environments.lightning import find_free_network_port
from lightning.pytorch import Trainer
from lightning.pytorch.utilities import rank_zero_only

from cardpose.common.distributed.ranks import silence_nonzero_ranks
from cardpose.common.errors import InputError

Job = Callable[[], Any]

GRACE = 10.0
"""Seconds for the others to end by themselves, once one has ended before its time."""


@dataclass(frozen=True)
class Outcome:
    """How a process ended: `done` with the job's result, `refused` with the user's line, `stopped` by Ctrl-C with its
    exit code or None, or `failed` with a traceback."""

    how: str
    said: Any = None


def processes_to_start(trainer: Trainer) -> int:
    """How many processes `run` is to start for `trainer`; 0 where this one trains alone, or is one of them already.

    Raises:
        InputError: a number of devices or nodes that this process cannot have.
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
    """Do `job` in `count` new processes at once; what it returns in the first one.

    Ctrl-C reaches the first one alone: how the others hear of it is theirs. Each has its own session, and dies with
    this process.

    Args:
        job: can be pickled.
        count: of processes on this machine.
        logging: of the first process, as `logging.config.dictConfig` takes it; the others are silent but for errors.

    Raises:
        InputError: what `job` raised.
        KeyboardInterrupt, SystemExit: Ctrl-C, and how the first process ended.
        RuntimeError: a process failed or was killed.
    """
    port = find_free_network_port()
    workers = []
    try:
        for rank in range(count):
            workers.append(_start(job, rank, count, port, logging))
        with _passing_on_ctrl_c(workers[0].process):
            outcomes = _wait(workers)
    finally:
        for worker in workers:
            worker.kill()
    return _result(outcomes)


@dataclass(frozen=True)
class _Worker:
    process: SpawnProcess
    outcome: Connection

    def kill(self) -> None:
        """End it, and what it started; its session is a process group of its own."""
        if self.process.is_alive() and self.process.pid is not None:
            for end in (os.killpg, os.kill):  # the latter where it has no session yet
                try:
                    end(self.process.pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
        self.process.join()
        self.outcome.close()

    def read(self) -> Outcome:
        """How it ended; waits for that."""
        try:
            return self.outcome.recv()
        except EOFError:
            self.process.join()
            return Outcome("failed", f"{self.process.name} was ended by {_cause(self.process.exitcode)}")


def _cause(code: int | None) -> str:
    """In words.

    >>> _cause(-9), _cause(3)
    ('SIGKILL; was the memory full?', 'exit code 3')
    """
    if code is not None and code < 0:
        hint = "; was the memory full?" if code == -signal.SIGKILL else ""
        return signal.Signals(-code).name + hint
    return f"exit code {code}"


def _start(job: Job, rank: int, count: int, port: int, logging: Mapping[str, Any] | None) -> _Worker:
    context = get_context("spawn")
    reader, writer = context.Pipe(duplex=False)
    process = context.Process(
        target=_work,
        args=(job, rank, count, port, get_start_method(), logging, writer),
        name=f"process {rank} of {count}",
    )
    process.start()
    writer.close()  # the process has its own; once that is closed too, reading ends
    return _Worker(process, reader)


def _wait(workers: Sequence[_Worker]) -> list[Outcome]:
    """The outcomes as they come, until all are done, or one is not and the others had time to end, too."""
    pending = {worker.outcome: worker for worker in workers}
    outcomes: list[Outcome] = []
    while pending:
        well = all(outcome.how == "done" for outcome in outcomes)
        ready = connection.wait(list(pending), None if well else GRACE)
        if not ready:
            break
        for reader in ready:
            outcomes.append(pending.pop(reader).read())  # type: ignore[call-overload]
    return outcomes


def _result(outcomes: Sequence[Outcome]) -> Any:
    """What the first process returned; else the outcome that says most, of equals the earliest."""
    for how in ("refused", "stopped", "failed"):
        for outcome in outcomes:
            if outcome.how != how:
                continue
            if how == "refused":
                raise InputError(outcome.said)
            if how == "stopped":
                raise KeyboardInterrupt if outcome.said is None else SystemExit(outcome.said)
            raise RuntimeError(outcome.said)
    return next(outcome.said for outcome in outcomes if outcome.said is not None)


@contextmanager
def _passing_on_ctrl_c(process: SpawnProcess) -> Iterator[None]:
    def pass_on(number: int, frame: FrameType | None) -> None:
        if process.is_alive() and process.pid is not None:
            os.kill(process.pid, number)

    before = signal.signal(signal.SIGINT, pass_on)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _work(
    job: Job,
    rank: int,
    count: int,
    port: int,
    start_method: str,
    logging: Mapping[str, Any] | None,
    outcome: Connection,
) -> None:
    """What a started process does."""
    os.setsid()
    set_start_method(
        start_method, force=True
    )  # of the loaders' workers; a spawned process would spawn them, too
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
    Thread(target=_die_with_parent, daemon=True).start()
    here = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "NODE_RANK": 0, "LOCAL_RANK": rank}
    here |= {"LOCAL_WORLD_SIZE": count}
    os.environ.update({key: str(value) for key, value in here.items()})
    rank_zero_only.rank = rank
    if logging is not None:
        dictConfig(dict(logging))
    silence_nonzero_ranks()
    outcome.send(_outcome(job, rank))
    outcome.close()


def _outcome(job: Job, rank: int) -> Outcome:
    try:
        result = job()
    except InputError as error:
        return Outcome("refused", str(error))
    except KeyboardInterrupt:
        return Outcome("stopped")
    except SystemExit as stop:
        return Outcome("stopped", stop.code)
    except BaseException:
        return Outcome("failed", f"process {rank}:\n{traceback.format_exc()}")
    return Outcome("done", result if rank == 0 else None)


def _die_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    parent.join()
    os.killpg(0, signal.SIGKILL)
