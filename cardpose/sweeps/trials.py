"""How a training knows that it is a trial of a search: a note beside its log, named in the environment.

The note is not in its configuration, so that rerun.sh and a resume by hand report to no search.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from cardpose.common.errors import InputError
from cardpose.sweeps.folder import TRIAL, Job
from cardpose.training.callbacks.prune import PruneTrial

PLUGINS = {
    "sampler": {"tpe": "TPESampler", "random": "RandomSampler", "gp": "GPSampler"},
    "pruner": {"median": "MedianPruner", "hyperband": "HyperbandPruner", "none": "NopPruner"},
}
"""Names in conf/sweep -> classes of optuna.samplers and optuna.pruners."""


def plugin(kind: str, settings: Mapping[str, Any], **more: Any) -> Any:
    """The sampler or pruner of Optuna that a configuration names.

    Args:
        kind: sampler or pruner.
        settings: `name`, one of `PLUGINS[kind]`; every other key is an argument of the class.

    Raises:
        InputError: an unknown name or argument.
    """
    import optuna

    arguments = {str(key): value for key, value in settings.items() if key != "name"} | more
    known = PLUGINS[kind]
    if settings.get("name") not in known:
        raise InputError(f"hydra.sweeper.{kind}.name={settings.get('name')}: choose {', '.join(known)}")
    try:
        return getattr(getattr(optuna, f"{kind}s"), known[settings["name"]])(**arguments)
    except (TypeError, ValueError, ImportError) as error:
        raise InputError(f"hydra.sweeper.{kind}: {' '.join(str(error).split())}") from None


def note_trial(job: Job, number: int, settings: DictConfig) -> None:
    """Note that a job is trial `number` of the search with the settings of conf/sweep/optuna.yaml.

    Raises:
        InputError: the disk is full or the folder may not be written to.
    """
    about = {
        "storage": settings.storage,
        "number": number,
        "monitor": settings.objective,
        "pruner": OmegaConf.to_container(settings.pruner),
    }
    job.note("trial", json.dumps(about))


def trial_callbacks() -> list[PruneTrial]:
    """The callback of the trial that this process trains; none where it trains no trial."""
    path = os.environ.get(TRIAL)
    if not path:
        return []
    about = json.loads(Path(path).read_text(encoding="utf-8"))
    return [PruneTrial(**{**about, "pruner": plugin("pruner", about["pruner"])})]
