"""Real trainings in seconds: the entries' own recipes on the tiny footage."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from in_process import Command, Done
from omegaconf import DictConfig, open_dict
from trainings import Trainings

from cardpose import train as train_entry
from cardpose.common.hydra_entry import CONF
from cardpose.sweeps import jobs as sweep_jobs
from cardpose.train import train

TINY = (
    "data=folder",
    "data.size=[32,64]",
    "data.batch_size=4",
    "data.num_workers=0",
    "split.folds=3",
    "split.val_videos=1",
    "heatmap.stride=2",
    "heatmap.sigma=1",
    "model.encoder.widths=[4,8,8]",
    "model.encoder.depths=[1,1,1]",
    "model.decoder.width=4",
    "model.head.hidden=8",
    "trainer.max_epochs=2",
    "trainer.accelerator=cpu",
    "callbacks.pictures.frames=2",
)

Compose = Callable[..., DictConfig]


@pytest.fixture(scope="session")
def tiny_choices() -> tuple[str, ...]:
    """Overrides of a training in seconds."""
    return TINY


@pytest.fixture(scope="session")
def compose_entry() -> Compose:
    """compose_entry(entry, folder, *overrides) as Hydra would for a run in `folder`; caches lie beside it."""

    def compose_for(name: str, folder: Path, *overrides: str) -> DictConfig:
        with initialize_config_dir(str(CONF), version_base="1.3"):
            cfg = compose(name, list(overrides), return_hydra_config=True)
        cfg.hydra.runtime.output_dir = str(folder)
        folder.mkdir(parents=True, exist_ok=True)
        HydraConfig.instance().set_config(cfg)
        with open_dict(cfg):
            paths = cfg.get("paths", {})
            if "cache" in paths:
                cfg.paths.cache = str(folder.parent / "cache")
            if "run" in paths:
                cfg.paths.run = str(folder)  # `hydra:` resolves only inside a real run
            cfg.pop("hydra")
        return cfg

    return compose_for


@pytest.fixture(scope="session")
def compose_train(compose_entry: Compose, tiny_folder: Path) -> Compose:
    """compose_train(folder, *overrides) composes a tiny training on the tiny footage."""

    def compose_for(folder: Path, *overrides: str) -> DictConfig:
        return compose_entry("train", folder, *TINY, f"data.root={tiny_folder}", *overrides)

    return compose_for


@pytest.fixture(scope="session")
def finished_run(compose_train: Compose, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of one finished tiny training."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    train(compose_train(folder), folder, list(HydraConfig.get().overrides.task))
    return folder


@pytest.fixture
def trainings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Trainings:
    """The stand-in, in an empty working directory."""
    stand_in = Trainings()
    monkeypatch.setattr(sweep_jobs, "call", stand_in.call)
    monkeypatch.chdir(tmp_path)
    return stand_in


@pytest.fixture
def sweep_command(in_process: Command) -> Command:
    """sweep_command(*arguments) is `python -m cardpose.train`; with main=... another entry."""

    def run(*arguments: str, main: Callable[[], None] = train_entry.main) -> Done:
        return in_process(main, *arguments)

    return run
