"""Command lines of experiments: they run under Hydra, and invalid input is one line and exit code 2."""

import logging
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, InstantiationException
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

import cardpose
from cardpose.common.distributed import ranks
from cardpose.common.errors import InputError, Pruned
from cardpose.common.exits import ending, silence_output
from cardpose.common.files import is_zip, numbered_folder
from cardpose.common.hydra_words import (
    CONF,
    check_options,
    choices,
    composition_line,
    help_text,
    keys_of_entry,
    path_override,
    read_answers,
)
from cardpose.common.locks import only_command_in

log = logging.getLogger(__name__)


def run_folder(resume: str | None, name: str, now: str) -> str:
    """The folder of a run: that of the resumed run, otherwise a new one in outputs/.

    A new one is made here, because two runs may start in the same second. A `resume` that is no checkpoint of a run
    gets a new folder too, which is removed when `cardpose.train` refuses it. Processes started together by SLURM or
    torchrun share one folder, named by the job instead of the time.
    """
    if is_run_checkpoint(resume):
        return str(Path(str(resume)).parent.parent)
    if job := ranks.job_id():
        return f"outputs/{name}_{job}"
    return str(new_folder(f"outputs/{name}_{now}"))


def new_folder(wanted: str) -> Path:
    """Make a folder, see `numbered_folder`, and note that it is new."""
    new = missing(Path(wanted).parent)
    folder = numbered_folder(wanted)
    _made.extend([folder.absolute(), *new])
    return folder


def missing(folder: Path) -> list[Path]:
    """Those of the folder and its parents that do not exist, innermost first."""
    return [path for path in (folder.absolute(), *folder.absolute().parents) if not path.exists()]


def is_run_checkpoint(path: str | Path | None) -> bool:
    """Whether a file lies where a run keeps its checkpoints: <run>/checkpoints/<file>."""
    return path is not None and Path(path).is_file() and Path(path).absolute().parent.name == "checkpoints"


def hydra_folder(resume: str | None, now: str) -> str | None:
    """Subfolder for Hydra's configuration files; a resume does not overwrite those of the run.

    None, so that nothing is written, unless this is rank 0.

    >>> hydra_folder(None, "2026-11-24_05-00-00")
    '.hydra'
    """
    if not ranks.is_rank_zero():
        return None
    return f".hydra/resumed_{now}" if is_run_checkpoint(resume) else ".hydra"


OmegaConf.register_new_resolver("choices", choices, replace=True)
OmegaConf.register_new_resolver("run_folder", run_folder, replace=True, use_cache=True)
OmegaConf.register_new_resolver("hydra_folder", hydra_folder, replace=True)


def plain(cfg: Mapping[Any, Any]) -> dict[str, Any]:
    """The resolved configuration as plain containers, as a checkpoint holds it.

    Raises:
        InputError: a key that has to be given is not.
    """
    config = cfg if isinstance(cfg, DictConfig) else OmegaConf.create(dict(cfg))
    missing = sorted(OmegaConf.missing_keys(config))
    if missing:
        raise InputError(f"{missing[0]} is not given: add {missing[0]}=...")
    container = OmegaConf.to_container(config, resolve=True)
    assert isinstance(container, dict)
    return {str(key): value for key, value in container.items()}


def entry(config_name: str) -> Callable[[Callable[[DictConfig], Any]], Callable[[], None]]:
    """Make `main(cfg)` a command: composes conf/<config_name>.yaml with the command line and runs it.

    Invalid input, of the command line too, exits with one line and code 2; Ctrl-C with one line and code 130. What
    Hydra wrote into the run folder by then is removed.
    """

    def decorate(task: Callable[[DictConfig], Any]) -> Callable[[], None]:
        def main() -> None:
            words = list(sys.argv[1:])
            if "--version" in words:
                return print(f"cardpose {cardpose.__version__}")
            started = False
            logging.raiseExceptions = False  # of a log on a full disk
            _made.clear()
            _present.clear()
            _locked.close()

            def job(cfg: DictConfig) -> Any:
                nonlocal started
                started = True
                ranks.silence_nonzero_ranks()
                with user_errors(config_name):
                    return task(cfg)

            with user_errors(config_name), hydra_raises():
                check_options(words)
                sys.argv[1:] = words = read_answers(config_name, words)
                try:
                    _run(config_name, words, job)
                except (HydraException, OmegaConfBaseException) as error:
                    if started:
                        raise
                    _forget_made()
                    raise _composition_error(error, config_name, words) from None
                except BrokenPipeError:  # closed by the reader: `--help | head`
                    silence_output()
                except OSError as error:
                    if started:
                        raise
                    _forget_made()
                    raise _no_run_folder(error) from None
                finally:
                    _locked.close()
            return None

        return main

    return decorate


def _run(config_name: str, words: list[str], job: Callable[[DictConfig], Any]) -> None:
    """Run the job with Hydra, or print the help."""
    if {"--help", "-h"}.intersection(words):
        print(help_text(config_name, words))
    else:
        hydra.main(version_base="1.3", config_path=str(CONF), config_name=config_name)(job)()


def _composition_error(error: Exception, config_name: str, words: list[str]) -> InputError:
    """The line about a configuration that cannot be composed, or about the run folder that is made with it."""
    cause: BaseException | None = error
    while cause is not None:
        # MissingConfigException is an OSError without a file.
        if isinstance(cause, OSError) and cause.filename:
            return _no_run_folder(cause)
        cause = cause.__cause__ or cause.__context__
    return InputError(composition_line(error, keys_of_entry(config_name, words)))


def _no_run_folder(error: OSError) -> InputError:
    return InputError(f"{error.filename or 'the run folder'}: {error.strerror}: choose another hydra.run.dir")


@contextmanager
def hydra_raises() -> Iterator[None]:
    """Let Hydra raise its errors instead of printing them and exiting with code 1."""
    before = os.environ.get("HYDRA_FULL_ERROR")
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["HYDRA_FULL_ERROR"]
        else:
            os.environ["HYDRA_FULL_ERROR"] = before


class Exit(SystemExit):
    """Ends the command with this code, after its one line is printed."""


@contextmanager
def user_errors(entry: str) -> Iterator[None]:
    """End invalid input with one line and code 2, Ctrl-C with one line and code 130.

    Raises:
        Exit: after the line; what Hydra wrote into the run folder is removed.
    """
    try:
        yield
    except InstantiationException as error:
        code, line = ending(InputError(user_line(error)))
    except (InputError, Pruned, KeyboardInterrupt, OSError, RuntimeError, UnicodeEncodeError) as error:
        code, line = ending(error)
    else:
        return
    if HydraConfig.initialized() and not OmegaConf.is_missing(HydraConfig.get().runtime, "output_dir"):
        forget_empty_run(Path(HydraConfig.get().runtime.output_dir))
    print(f"cardpose.{entry}: {line}", file=sys.stderr)
    raise Exit(code)


def user_line(error: InstantiationException) -> str:
    """The one line about a plugin that Hydra could not build."""
    cause: BaseException = error
    while cause.__cause__ is not None and not isinstance(cause, InputError):
        cause = cause.__cause__
    line = " ".join(str(cause).split()) or type(cause).__name__
    key = re.search(r"full_key: (\S+)", str(error))
    return line if isinstance(cause, InputError) else f"{key[1] if key else 'hydra'}: {line}"


_made: list[Path] = []
"""Paths made by Hydra and this module for the run of this process, each before its parent."""
_present: set[Path] = set()
"""Files that were in the run folder before."""
_locked = ExitStack()
"""Descriptor of the run folder, locked as long as the command runs."""


class NoteRunFolder(Callback):
    """Locks the run folder and notes what is new in it; conf/hydra/output/run.yaml names this class."""

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Note what is in the run folder, and those of the paths that Hydra is about to write that do not exist.

        Raises:
            Exit: the folder is another run's, finished or not.
        """
        try:
            folder = Path(config.hydra.run.dir).absolute()
        except OmegaConfBaseException:  # it cannot be made; Hydra states why
            return
        paths = [folder / f"{config.hydra.job.name}.log"]
        if (note := config.hydra.output_subdir) is not None:
            paths += [folder / note / f"{name}.yaml" for name in ("config", "hydra", "overrides")]
            paths.append(folder / note)
        _present.update(folder.iterdir() if folder.is_dir() else ())
        _made[:0] = [*(path for path in paths if not path.exists()), *missing(folder)]
        if ranks.is_rank_zero():
            with user_errors(config.hydra.job.name), suppress(OSError):  # Hydra names the cause
                _enter_folder(folder, config.get("resume"))


def _enter_folder(folder: Path, resume: str | None) -> None:
    """Lock a run folder for this command.

    Raises:
        InputError: another command runs in it, or it holds a run that is not to be resumed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    taken = f"{folder}: another command runs in this folder: wait for it, or choose another hydra.run.dir"
    _locked.enter_context(only_command_in(folder, taken))
    last = folder / "checkpoints" / "last.ckpt"
    if resume is None and ((folder / "metrics.json").is_file() or is_zip(last)):
        raise InputError(
            f"{folder}: holds a run: choose another hydra.run.dir, or continue it with "
            f"{path_override('resume', last)}"
        )


def forget_empty_run(folder: Path) -> None:
    """Remove the files that Hydra wrote at the start, and the run folder if it is empty then; on rank 0 only.

    A run that has written anything itself is kept whole, and so is all that existed before it.
    """
    written = set(folder.iterdir() if folder.is_dir() else ()) - _present - set(_made)
    if not written:
        _forget_made()


def _forget_made() -> None:
    if not ranks.is_rank_zero():
        return
    for handler in list(logging.root.handlers):
        if isinstance(handler, logging.FileHandler):  # a later message would look for the folder
            handler.close()
            logging.root.removeHandler(handler)
    for path in _made:
        with suppress(OSError):  # a folder that is not empty, or gone
            path.rmdir() if path.is_dir() else path.unlink()
    _made.clear()
