"""How a training knows that it is a trial of a search: a note beside its log, named in the environment.

Not in its configuration, so that rerun.sh, and a resume of the user's own, report to no search.
"""

import json
import os
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from cardpose.models.builder import build
from cardpose.sweeps.folder import TRIAL, Job
from cardpose.training.callbacks.prune import PruneTrial


def note_trial(job: Job, number: int, settings: DictConfig) -> None:
    """Say that a job is trial `number` of the search with the settings of conf/sweep/optuna.yaml.

    Raises:
        InputError: the disk is full or the folder may not be written to.
    """
    about = {
        "storage": settings.storage,
        "timeout": settings.storage_timeout,
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
    return [PruneTrial(**{**about, "pruner": build(about["pruner"], "hydra.sweeper.pruner")})]
