"""Two processes on the CPU train one model together: what one process would, written once."""

import csv
import json
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from omegaconf import DictConfig, OmegaConf

from cardpose import train
from cardpose.common.distributed import launch
from cardpose.common.errors import InputError
from cardpose.common.hydra_entry import plain
from cardpose.common.packet import Batch
from cardpose.common.subprocesses import INTERRUPTED
from cardpose.data.datamodule import CardDataModule
from cardpose.evaluate import evaluate
from cardpose.models import builder, checkpoints
from cardpose.models.from_config import build_net
from cardpose.training import build
from cardpose.training.testing import validate
from cardpose.training.trainer import on_devices

Compose = Callable[..., DictConfig]

TWO = ("trainer=ddp_spawn_cpu", "split.val_videos=2", "augment=strong", "model.head.dropout=0.5")


class Record(Callback):
    """Write what each process saw: epoch, batch, frames with the sum of their pixels, and the seed of its draws."""

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)
        self.seen: list[dict[str, Any]] = []

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        frames = zip(batch["video"].tolist(), batch["frame_index"].tolist(), strict=True)
        pixels = batch["image"].double().sum((1, 2, 3)).tolist()
        self.seen.append(
            {
                "step": [trainer.current_epoch, batch_idx],
                "frames": [[*frame, round(pixel, 4)] for frame, pixel in zip(frames, pixels, strict=True)],
                "seed": torch.initial_seed(),
            }
        )

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        weights = sum(value.double().sum().item() for value in pl_module.net.parameters())
        document = {"seen": self.seen, "weights": weights, "threads": torch.get_num_threads()}
        (self.folder / f"rank{trainer.global_rank}.json").write_text(json.dumps(document))


class PressInSecond(Callback):
    """Ctrl-C, in the second process alone, in batch 1 of epoch 1."""

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        if (trainer.global_rank, trainer.current_epoch, batch_idx) == (1, 1, 1):
            os.kill(os.getpid(), signal.SIGINT)


def whole_interrupted_resumed(configs: list[dict[str, Any]], folders: list[Path]) -> int:
    """Three trainings in the same two processes, which costs less time than six; the exit code of Ctrl-C."""
    builder.ALLOWED |= {f"{__name__}.Record", f"{__name__}.PressInSecond"}
    whole, interrupted, resumed = (OmegaConf.create(config) for config in configs)
    train.train(whole, folders[0])
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        train.train(interrupted, folders[1])
    except SystemExit as stop:
        code = stop.code
    train.train(resumed, folders[1])
    return code  # type: ignore[return-value]


@dataclass(frozen=True)
class Pair:
    """Folders of two processes' trainings, and the exit code of the interruption."""

    whole: Path
    resumed: Path
    code: int

    def rank(self, rank: int) -> dict[str, Any]:
        return json.loads((self.whole / f"rank{rank}.json").read_text())


@pytest.fixture(scope="module")
def pair(
    compose_train: Compose,
    drawn_checkpoint: Path,
    tmp_path_factory: pytest.TempPathFactory,
    allow_target: Callable[[str], str],
) -> Pair:
    """From weights whose corners and counts differ from frame to frame, so that the scores tell something."""
    root = tmp_path_factory.mktemp("pair")
    start = "model.decoder.max_width=8", f"init_from='{drawn_checkpoint}'"
    folders = [root / "whole", root / "resumed"]
    module = "{_target_:" + __name__
    allow_target(f"{__name__}.Record")  # the checkpoints name it, and the tests evaluate them here
    allow_target(f"{__name__}.PressInSecond")
    whole = compose_train(
        folders[0], *TWO, *start, f"+callbacks.record={module}.Record,folder:'{folders[0]}'}}"
    )
    interrupted = compose_train(folders[1], *TWO, *start, f"+callbacks.press={module}.PressInSecond}}")
    resumed = compose_train(folders[1], *TWO, *start, f"resume='{folders[1]}/checkpoints/last.ckpt'")
    configs = [plain(cfg) for cfg in (whole, interrupted, resumed)]
    before = dict(os.environ)
    code = launch.run(partial(whole_interrupted_resumed, configs, folders), 2)
    assert dict(os.environ) == before, "the next run of a sweep starts from there"
    return Pair(*folders, code)


def test_scores_are_those_of_one_process(pair: Pair, compose_train: Compose, tmp_path: Path) -> None:
    best = pair.whole / "checkpoints" / "best.ckpt"
    together = json.loads((pair.whole / "metrics.json").read_text())
    (alone,) = evaluate([str(best)], out=tmp_path / "test").metrics
    cfg = compose_train(tmp_path / "val", *TWO, "trainer=cpu", "model.decoder.max_width=8")
    net = build_net(plain(cfg))
    data = build.build_data(plain(cfg), net)
    data.prepare_data()
    assert len(data.split.val) % 2 == len(data.split.test) % 2 == 1, "where it divides, nothing is shown"
    module = build.build_module(plain(cfg), net, build.mean_cards(data), {})
    module.load(checkpoints.read(best), best)
    alone |= validate(plain(cfg), module, data)
    assert together.keys() == alone.keys()
    for key, score in together.items():
        assert float("nan" if score is None else score) == pytest.approx(alone[key], abs=1e-4, nan_ok=True), (
            key
        )
    assert checkpoints.read(best)[checkpoints.KEY]["interval"]["videos"] == 2  # both validation videos

    texts = [(folder / "frames.csv").read_text() for folder in (pair.whole / "test", tmp_path / "test")]
    tables = [list(csv.DictReader(text.splitlines())) for text in texts]
    assert len(tables[0]) == len(data.split.test)
    for row, expected in zip(*tables, strict=True):
        assert (row["video"], row["frame_index"]) == (expected["video"], expected["frame_index"])
        assert float(row["cards_predicted"]) == pytest.approx(float(expected["cards_predicted"]), abs=1e-3)


def test_each_step_takes_the_frames_that_one_process_would(
    pair: Pair, compose_train: Compose, tmp_path: Path
) -> None:
    cfg = compose_train(tmp_path / "run", *TWO, "trainer=cpu")
    data: CardDataModule = build.build_data(plain(cfg), build_net(plain(cfg)))
    data.prepare_data()
    data.setup("fit")
    first, second = (pair.rank(rank)["seen"] for rank in range(2))
    assert [step["step"] for step in first] == [[e, b] for e in range(2) for b in range(len(first) // 2)]
    steps = iter(zip(first, second, strict=True))
    for epoch in range(2):
        loader = data.train_dataloader()
        loader.sampler.set_epoch(epoch)
        for batch, (mine, other) in zip(loader, steps, strict=False):
            pixels = data.on_after_batch_transfer(batch, 0)["image"].double().sum((1, 2, 3)).tolist()
            frames = zip(batch["video"].tolist(), batch["frame_index"].tolist(), pixels, strict=True)
            expected = [[video, index, pytest.approx(pixel, abs=1e-3)] for video, index, pixel in frames]
            assert mine["frames"] + other["frames"] == expected  # augmented alike, too


def test_the_processes_keep_one_model_and_draw_apart(pair: Pair) -> None:
    first, second = (pair.rank(rank) for rank in range(2))
    assert first["weights"] == second["weights"]
    seeds = [step["seed"] for process in (first, second) for step in process["seen"]]
    assert len(set(seeds)) == len(seeds)


def test_the_first_process_writes_once(pair: Pair) -> None:
    names = {path.name for path in pair.whole.iterdir()}
    assert {"split.json", "metrics.json", "test", "checkpoints", "tensorboard"} <= names
    writers = {path.name.split(".")[-2] for path in (pair.whole / "tensorboard").glob("events*")}
    assert len(writers) == 1, "process numbers"
    assert not list(pair.whole.rglob("*.partial"))
    assert len(list(pair.whole.parent.glob("cache/*/images.npy"))) == 1


def test_ctrl_c_in_any_process_stops_all_and_resume_continues_exactly(pair: Pair) -> None:
    assert pair.code == INTERRUPTED
    own, whole = (
        checkpoints.read(folder / "checkpoints" / "last.ckpt") for folder in (pair.resumed, pair.whole)
    )
    assert own["global_step"] == whole["global_step"]
    for key in ("state_dict", "current_model_state"):
        assert all(torch.equal(own[key][name], whole[key][name]) for name in whole[key])
    scores = [json.loads((folder / "metrics.json").read_text()) for folder in (pair.resumed, pair.whole)]
    assert scores[0] == scores[1]


def test_a_checkpoint_of_several_devices_is_evaluated_on_one(pair: Pair) -> None:
    described = checkpoints.read(pair.whole / "checkpoints" / "best.ckpt")[checkpoints.KEY]
    assert described["config"]["trainer"]["devices"] == 2


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        (("data.batch_size=5",), r"data\.batch_size=5 does not divide by the 2 processes"),
        (("trainer.num_nodes=2",), r"trainer\.num_nodes=2: start the processes .* srun"),
        (("trainer.strategy=fsdp",), r"trainer\.strategy=fsdp: choose auto, or ddp"),
        (("trainer.strategy=auto",), r"2 devices need trainer=ddp"),
        (("+trainer.overfit_batches=2",), r"trainer\.overfit_batches is for one device"),
    ],
)
def test_what_several_devices_cannot_do_is_refused(
    compose_train: Compose,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    overrides: tuple[str, ...],
    line: str,
) -> None:
    def refuse_here(job: Callable[[], Any], count: int, *_: Any) -> Any:
        monkeypatch.setattr(Trainer, "world_size", count)
        return job()

    monkeypatch.setattr(launch, "run", refuse_here)
    folder = tmp_path / "run"
    cfg = compose_train(folder, *TWO, *overrides)
    with pytest.raises(Exception, match=line) as refusal:
        on_devices(partial(train.train, cfg, folder), plain(cfg))
    assert isinstance(refusal.value, InputError) or isinstance(refusal.value.__cause__, InputError)
    assert not any(folder.iterdir())
