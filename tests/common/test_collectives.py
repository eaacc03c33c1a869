"""What processes that train together tell each other; here what each computes of it."""

import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning.pytorch.utilities import rank_zero_only

from cardpose.common.distributed import collectives as processes
from cardpose.common.distributed import ranks
from cardpose.common.distributed.collectives import ProcessRank
from cardpose.common.errors import InputError
from cardpose.common.hydra_entry import hydra_folder, run_folder
from cardpose.data.sampler import (
    InterleavedEvalSampler,
    ResumableDistributedSampler,
    check_divisible,
    eval_batch_size,
)

WORLDS = (1, 2, 3, 4, 8)


@pytest.fixture
def second(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This process as if it were the second of several."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    monkeypatch.setattr(rank_zero_only, "rank", 1)
    yield
    root.handlers, root.level = handlers, level


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("length", [48, 61])
def test_the_batches_of_all_processes_are_those_of_one(length: int, world: int) -> None:
    batch = 24
    alone = np.array(list(ResumableDistributedSampler(length, seed=3, epoch=2, batch_size=batch))).reshape(
        -1, batch
    )
    assert len(alone) == length // batch
    samplers = [
        ResumableDistributedSampler(length, 3, 2, batch_size=batch, process=ProcessRank(r, world))
        for r in range(world)
    ]
    shares = [list(sampler) for sampler in samplers]
    assert [len(share) for share in shares] == [len(sampler) for sampler in samplers]
    together = np.concatenate([np.array(share).reshape(-1, batch // world) for share in shares], axis=1)
    assert np.array_equal(together, alone)  # each frame once, and a film's neighbours stay together


@pytest.mark.parametrize("world", WORLDS)
def test_processes_continue_together_after_an_interruption(world: int) -> None:
    for rank in range(world):
        whole = list(
            ResumableDistributedSampler(61, 3, epoch=2, batch_size=24, process=ProcessRank(rank, world))
        )
        rest = list(
            ResumableDistributedSampler(
                61, 3, epoch=2, skip=24, batch_size=24, process=ProcessRank(rank, world)
            )
        )
        assert rest == whole[24 // world :]


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize(("length", "batch"), [(8, 8), (9, 16), (39, 16), (101, 8), (101, 64)])
def test_every_frame_is_evaluated_once_in_step(length: int, batch: int, world: int) -> None:
    size = eval_batch_size(length, batch, world)
    batches = []
    for rank in range(world):
        own = list(InterleavedEvalSampler(length, size, ProcessRank(rank, world)))
        batches.append([own[i : i + size] for i in range(0, len(own), size)])
    assert all(batches), "a process without a batch would not keep step"
    assert 1 <= size <= max(1, batch // world)
    assert [i for part in processes.interleave(batches) for i in part] == list(range(length))


def test_what_cannot_be_shared_is_refused() -> None:
    check_divisible(16, {"validation": 8, "test": 0}, world=8)
    with pytest.raises(InputError, match=r"data\.batch_size=16 .* 3 processes .* multiple of 3"):
        check_divisible(16, {}, world=3)
    with pytest.raises(InputError, match=r"3 test frames are fewer than the 4 processes: .*trainer\.devices"):
        check_divisible(16, {"test": 3}, world=4)


def test_one_process_has_nothing_to_share() -> None:
    tensor = torch.tensor([1.0])
    processes.broadcast([tensor])
    assert (processes.gather("a"), processes.all_gather_interleaved([1, 2]), tensor.item()) == (
        ["a"],
        [1, 2],
        1.0,
    )
    assert [processes.any_rank(flag, processes.cpu_group()) for flag in (True, False)] == [True, False]


def test_slurms_processes_have_one_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for key, value in {"JOB_ID": "4711", "NTASKS": "16", "STEP_ID": "0", "JOB_NAME": "train"}.items():
        monkeypatch.setenv(f"SLURM_{key}", value)
    assert {run_folder(None, "name", now) for now in ("05-00-00", "05-00-01")} == {
        "outputs/name_slurm_4711.0"
    }
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")  # a requeued job does not write over its first attempt
    assert run_folder(None, "name", "now") == "outputs/name_slurm_4711.0_restart1"
    monkeypatch.setenv("SLURM_JOB_NAME", "bash")  # an interactive shell, in which run follows run
    assert ranks.job_id() is None


def test_torchruns_processes_need_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "mine")
    assert run_folder(None, "name", "now") == "outputs/name_torchrun_mine"
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    with pytest.raises(InputError, match="--rdzv-id"):
        ranks.job_id()


def test_the_first_process_alone_writes_and_talks(second: None, tmp_path: Path) -> None:
    assert hydra_folder(None, "now") is None
    file = logging.FileHandler(tmp_path / "train.log")
    logging.getLogger().addHandler(file)
    ranks.silence_nonzero_ranks()
    assert file not in logging.getLogger().handlers
    assert logging.getLogger("cardpose.data").getEffectiveLevel() == logging.ERROR
