"""Predict footage without labels. `python -m cardpose.predict --help` teaches; the recipe is `predict`."""

import sys
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, ListConfig

from cardpose import __version__
from cardpose.common.errors import InputError
from cardpose.common.files import file_digest
from cardpose.common.hydra_entry import entry, forget_empty_run, require
from cardpose.common.progress import FrameBar
from cardpose.common.threads import share_cores
from cardpose.prediction.output_folder import PredictionFolder
from cardpose.prediction.overlay import overlay_paths
from cardpose.prediction.pipeline import Run
from cardpose.prediction.predictor import choose_device, load
from cardpose.prediction.sources import find_sources


def predict(cfg: DictConfig) -> None:
    """Predict `cfg.source` into the folder `cfg.out`.

    Args:
        cfg: conf/predict.yaml, composed.

    Raises:
        InputError: what the user can mend; some sources that cannot be read are a line each, if others can.
        KeyboardInterrupt: Ctrl-C, with a word on how to go on.
    """
    check(cfg)
    share_cores()
    predictor = load(cfg.ckpt, choose_device(cfg.accelerator), cfg.field_of_view)
    given = list(cfg.source) if isinstance(cfg.source, ListConfig) else [cfg.source]
    sources, problems = find_sources(given, sys.stdin)
    if not sources:
        raise InputError(problems[0] if problems else "source names nothing: add source=<picture or video>")
    about = {
        "cardpose": __version__,
        "model": file_digest(cfg.ckpt),
        "overlay": cfg.overlay,
        "field_of_view": cfg.field_of_view,
    }
    with PredictionFolder(cfg.out, about, cfg.skip_existing) as folder:
        left = [source for source in sources if source.name not in folder.finished]
        overlays = overlay_paths(Path(cfg.out) / "overlay", [s.name for s in sources]) if cfg.overlay else {}
        with FrameBar(left) as bar:
            for problem in problems:
                bar.say(problem)
            try:
                summary = Run(predictor, folder, overlays, cfg.batch_size, bar)(left)
            except KeyboardInterrupt:
                raise KeyboardInterrupt("add skip_existing=true to go on") from None
            summary.failed[:0] = problems
            if summary.failed and not summary.clips and not folder.finished:
                raise InputError(
                    summary.failed[0] if len(summary.failed) == 1 else "none of the sources can be read"
                )
            bar.say(f"{summary}; {bar.rate}")


def check(cfg: DictConfig) -> None:
    """Refuse what cannot work.

    Raises:
        InputError: a key is missing or wrong.
    """
    require(cfg, {"ckpt": "outputs/<run>/checkpoints/best.ckpt", "source": "<picture or video>"})
    if not isinstance(cfg.batch_size, int) or cfg.batch_size < 1:
        raise InputError(f"batch_size={cfg.batch_size}: choose a whole number from 1")
    view = cfg.field_of_view
    if view is not None and not (isinstance(view, int | float) and 1 <= view <= 170):
        raise InputError(f"field_of_view={view}: choose degrees from 1 to 170, or null")


@entry("predict")
def main(cfg: DictConfig) -> None:
    predict(cfg)
    forget_empty_run(Path(HydraConfig.get().runtime.output_dir))
    print(cfg.out)


if __name__ == "__main__":
    main()
