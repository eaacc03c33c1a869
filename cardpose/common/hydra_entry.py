"""What every entry shares: the Hydra wrapper that turns a user's mistake into one line and exit code 2."""

import itertools
import logging
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import InstantiationException
from omegaconf import DictConfig, OmegaConf

from cardpose.common.distributed import ranks
from cardpose.common.errors import InputError
from cardpose.common.subprocesses import INTERRUPTED

PACKAGE = Path(__file__).resolve().parents[1]
CONF = PACKAGE / "conf" if (PACKAGE / "conf").is_dir() else PACKAGE.parent / "conf"
"""The configuration: inside the package where a wheel installed it, beside the package in a clone."""
FAILED = 1
"""Exit code where some of many runs failed."""
USER_ERROR = 2

RENAMED_KEYS = {
    "footage": "render",
    "synth": "scene",
    "head": "count_features",
    "count": "count_head",
    "weights": "init_from",
    "weights_parts": "init_modules",
    "data.film_frames": "data.samples_per_epoch",
    "data.film_ratio": "data.synthetic_ratio",
}
"""Old key of a command line -> the one to use instead."""

log = logging.getLogger(__name__)


def run_folder(resume: str | None, name: str, now: str) -> str:
    """The folder of a run: the interrupted one when it is resumed, a new one in outputs/ otherwise.

    A new one is made here, since two runs may start in the same second. A `resume` that is no checkpoint of a run
    gets a new folder too, which is removed when `cardpose.train` refuses it. Processes that SLURM or torchrun started
    together have one folder, with the job's name in place of the time.
    """
    if is_run_checkpoint(resume):
        return str(Path(str(resume)).parent.parent)
    if job := ranks.job_id():
        return f"outputs/{name}_{job}"
    return str(new_folder(f"outputs/{name}_{now}"))


def new_folder(wanted: str) -> Path:
    """Make a folder of the wanted path, with a number behind it where there is one."""
    for number in itertools.count(1):
        folder = Path(wanted + (f"_{number}" if number > 1 else ""))
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        break
    return folder


def is_run_checkpoint(path: str | Path | None) -> bool:
    """Whether a file lies where a run keeps its checkpoints: <run>/checkpoints/<file>."""
    return path is not None and Path(path).is_file() and Path(path).absolute().parent.name == "checkpoints"


def path_override(key: str, path: Path) -> str:
    """`key=path` as Hydra reads it, whatever the path holds.

    >>> path_override("dir", Path("outputs/a")), path_override("dir", Path("a=1,b"))
    ('dir=outputs/a', "dir='a=1,b'")
    """
    text = str(path)
    if all(letter.isalnum() or letter in "/._-" for letter in text):
        return f"{key}={text}"
    return f"{key}='" + text.replace("'", "\\'") + "'"


def hydra_folder(resume: str | None, now: str) -> str | None:
    """Where in the run folder Hydra notes its configuration; a resume does not overwrite the run's own.

    Of several processes the first one notes it.

    >>> hydra_folder(None, "2026-11-24_05-00-00")
    '.hydra'
    """
    if not ranks.is_rank_zero():
        return None
    return f".hydra/resumed_{now}" if is_run_checkpoint(resume) else ".hydra"


OmegaConf.register_new_resolver("run_folder", run_folder, replace=True, use_cache=True)
OmegaConf.register_new_resolver("hydra_folder", hydra_folder, replace=True)


def full_key(word: str, paths: Mapping[str, str]) -> str:
    """A word of the command line; `data=x` as `data.root=x` where that is to be a path, not a choice of conf/data.

    >>> full_key("data=my_footage", {"data": "data.root"}), full_key("n=5", {"data": "data.root"})
    ('data.root=my_footage', 'n=5')
    """
    key, sign, value = word.partition("=")
    return f"{paths[key]}={value}" if sign and key in paths else word


def require(cfg: DictConfig, keys: Mapping[str, str]) -> None:
    """Refuse a command line that leaves out what there is no default for.

    Args:
        cfg: the configuration.
        keys: what has to be given, with an example of its value; `data` is `data.root`, as in `entry`'s `paths`.

    Raises:
        InputError: one of them is not given.
    """
    for key, example in keys.items():
        where, name = (cfg.data, "root") if key == "data" else (cfg, key)
        if OmegaConf.is_missing(where, name):
            raise InputError(f"{key} is not given: add {key}={example}")


def entry(
    config_name: str, paths: Mapping[str, str] = MappingProxyType({})
) -> Callable[[Callable[[DictConfig], Any]], Callable[[], None]]:
    """Make `main(cfg)` a command: composes conf/<config_name>.yaml with the command line and runs it.

    Args:
        config_name: of the file in conf/.
        paths: words that take a path though conf/ has a group of that name, and the key that holds it.

    A bad override exits with Hydra's own message, an `InputError` with its one line, both with code 2; Ctrl-C with
    a line and code 130. A run folder in which nothing but Hydra's files was written by then is removed.
    """

    def decorate(task: Callable[[DictConfig], Any]) -> Callable[[], None]:
        def main() -> None:
            started = False
            sys.argv[1:] = [full_key(word, paths) for word in sys.argv[1:]]

            def job(cfg: DictConfig) -> Any:
                nonlocal started
                started = True
                ranks.silence_nonzero_ranks()
                with user_errors(config_name):
                    return task(cfg)

            try:
                hydra.main(version_base="1.3", config_path=str(CONF), config_name=config_name)(job)()
            except Exit as stop:
                raise SystemExit(stop.code) from None
            except SystemExit as stop:  # before a job has started it is Hydra's own
                raise SystemExit(USER_ERROR if stop.code and not started else stop.code) from None
            except BrokenPipeError:  # the reader has seen enough: `--help | head`
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, sys.stdout.fileno())  # the last flush has a place to go

        return main

    return decorate


class Exit(SystemExit):
    """Ends the command with this code, also where no job has started in its process."""


@contextmanager
def user_errors(entry: str) -> Iterator[None]:
    """End with a user's mistake in one line and code 2, and with Ctrl-C in one and code 130.

    Raises:
        Exit: after the line; an empty run folder is removed.
    """
    try:
        yield
    except (InputError, InstantiationException) as error:
        code, line = USER_ERROR, user_line(error)
    except KeyboardInterrupt as stop:
        code, line = INTERRUPTED, f"interrupted: {str(stop) or 'run the same command again'}"
    else:
        return
    if HydraConfig.initialized():
        forget_empty_run(Path(HydraConfig.get().runtime.output_dir))
    print(f"cardpose.{entry}: {line}", file=sys.stderr)
    raise Exit(code)


def user_line(error: InputError | InstantiationException) -> str:
    """The one line of an InputError, or of what a constructor said of a value that the configuration gave it.

    Hydra wraps what a constructor raises in an exception of its own.

    >>> user_line(InputError("a.csv: is empty: fill it"))
    'a.csv: is empty: fill it'
    """
    cause: BaseException = error
    while cause.__cause__ is not None and not isinstance(cause, InputError):
        cause = cause.__cause__
    said = " ".join(str(cause).split()) or type(cause).__name__
    if isinstance(cause, InputError):
        return said
    key = re.search(r"full_key: (\S+)", str(error))
    return f"{key.group(1) if key else 'the configuration'} cannot be built: {said}"


def forget_empty_run(folder: Path) -> None:
    """Remove what Hydra wrote on start: the folder, where it holds nothing else, or the note of a resume.

    Of several processes the first one does.
    """
    if not ranks.is_rank_zero():
        return
    for handler in list(logging.root.handlers):
        if isinstance(handler, logging.FileHandler):  # a later word would look for the folder
            handler.close()
            logging.root.removeHandler(handler)
    note = HydraConfig.get().output_subdir if HydraConfig.initialized() else None
    if note is not None and note != ".hydra":
        shutil.rmtree(folder / note, ignore_errors=True)
    if folder.is_dir() and all(item.name == ".hydra" or item.suffix == ".log" for item in folder.iterdir()):
        shutil.rmtree(folder)
