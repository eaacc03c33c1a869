"""What every entry shares: the Hydra wrapper that turns a user's mistake into one line and exit code 2."""

import logging
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import InstantiationException
from omegaconf import DictConfig, OmegaConf

from cardpose.errors import InputError

CONF = Path(__file__).resolve().parent.parent / "conf"
USER_ERROR = 2

log = logging.getLogger(__name__)


def run_folder(resume: str | None, name: str, now: str) -> str:
    """The folder of a run: the interrupted one when it is resumed, a new one in outputs/ otherwise.

    >>> run_folder("outputs/baseline_1/checkpoints/last.ckpt", "baseline", "2")
    'outputs/baseline_1'
    >>> run_folder(None, "baseline", "2026-11-24_05-00-00")
    'outputs/baseline_2026-11-24_05-00-00'
    """
    return str(Path(resume).parent.parent) if resume else f"outputs/{name}_{now}"


def hydra_folder(resume: str | None, now: str) -> str:
    """Where in the run folder Hydra notes its configuration; a resume does not overwrite the run's own.

    >>> hydra_folder(None, "2026-11-24_05-00-00"), hydra_folder("a/checkpoints/last.ckpt", "2026-11-24_05-00-00")
    ('.hydra', '.hydra/resumed_2026-11-24_05-00-00')
    """
    return f".hydra/resumed_{now}" if resume else ".hydra"


OmegaConf.register_new_resolver("run_folder", run_folder, replace=True)
OmegaConf.register_new_resolver("hydra_folder", hydra_folder, replace=True)


def entry(config_name: str) -> Callable[[Callable[[DictConfig], Any]], Callable[[], None]]:
    """Make `main(cfg)` a command: composes conf/<config_name>.yaml with the command line and runs it.

    A bad override exits with Hydra's own message, an `InputError` with its one line, both with code 2. A run
    folder in which nothing but Hydra's files was written by then is removed.
    """

    def decorate(task: Callable[[DictConfig], Any]) -> Callable[[], None]:
        started = False

        def job(cfg: DictConfig) -> Any:
            nonlocal started
            started = True
            try:
                return task(cfg)
            except (InputError, InstantiationException) as error:
                line = user_line(error)
                if line is None:
                    raise
                forget_empty_run(Path(HydraConfig.get().runtime.output_dir))
                print(f"cardpose.{config_name}: {line}", file=sys.stderr)
                raise SystemExit(USER_ERROR) from None

        def main() -> None:
            try:
                hydra.main(version_base="1.3", config_path=str(CONF), config_name=config_name)(job)()
            except SystemExit as stop:
                raise SystemExit(USER_ERROR if stop.code and not started else stop.code) from None

        return main

    return decorate


def user_line(error: BaseException | None) -> str | None:
    """The one line of the InputError in an error's chain of causes, or None where there is none.

    Hydra wraps what a constructor raises in its own exception.
    """
    while error is not None and not isinstance(error, InputError):
        error = error.__cause__
    return None if error is None else " ".join(str(error).split())


def forget_empty_run(folder: Path) -> None:
    """Remove a run folder that holds nothing but what Hydra wrote on start."""
    logging.shutdown()
    if folder.is_dir() and all(item.name == ".hydra" or item.suffix == ".log" for item in folder.iterdir()):
        shutil.rmtree(folder)
