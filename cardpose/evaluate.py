"""Measure a trained model, or two. `python -m cardpose.evaluate --help` teaches; the recipe is `evaluate`.

Network, data, split and sizes come from the checkpoint; `data` and `split` name other labelled footage,
`heatmap.decode` another way to find the peaks.
"""

from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from rich.console import Console

from cardpose.common.hydra_entry import entry, is_run_checkpoint
from cardpose.evaluation.report.comparison import NAMES, check_same_frames, score_table
from cardpose.evaluation.report.comparison_page import write_comparison
from cardpose.evaluation.report.sections import describe_run, write_report
from cardpose.evaluation.report.tables import metrics_table, write_metrics
from cardpose.evaluation.report.test_result import TestResult
from cardpose.models import checkpoints
from cardpose.training import testing as measure
from cardpose.training.loggers import write_images


def evaluate(cfg: DictConfig, folder: Path) -> dict[str, float]:
    """Measure `cfg.ckpt` and write the report to `folder`.

    Args:
        cfg: conf/evaluate.yaml, composed.
        folder: of the report.

    Returns:
        Scores under the keys of metrics.json.

    Raises:
        InputError: what the user can mend.
    """
    (path,) = measure.checkpoint_paths(cfg)
    checkpoint = checkpoints.read(path)
    return write(folder, path, checkpoint, measure.evaluate_on_own_split(cfg, path, checkpoint))


def compare(cfg: DictConfig, folder: Path) -> list[dict[str, str]]:
    """Measure the two checkpoints of `cfg.ckpt` on the same frames.

    Args:
        cfg: conf/evaluate.yaml, composed.
        folder: of the comparison; a/ and b/ in it get a report each.

    Returns:
        The scores beside each other, see `compare.score_rows`.

    Raises:
        InputError: what the user can mend.
    """
    paths = dict(zip(NAMES, measure.checkpoint_paths(cfg, most=len(NAMES)), strict=True))
    read = {name: checkpoints.read(path) for name, path in paths.items()}
    described = [checkpoint[checkpoints.KEY] for checkpoint in read.values()]
    if not cfg.split and not any(says["config"]["data"].get("test") for says in described):
        check_same_frames(*map(measure.frames_to_test, read.values()))  # told before the long work
    tested = {
        name: measure.evaluate_on_own_split(cfg, paths[name], checkpoint) for name, checkpoint in read.items()
    }
    facts = {
        f"{name}: {key}": value
        for name, says in zip(NAMES, described, strict=True)
        for key, value in describe_run(paths[name], says).items()
    }
    rows, images = write_comparison(
        folder, tested["a"], tested["b"], facts, [says["config"] for says in described]
    )
    for name in NAMES:
        write(folder / name, paths[name], read[name], tested[name])
    write_images(folder, images)
    return rows


def write(folder: Path, path: str, checkpoint: dict[str, Any], tested: TestResult) -> dict[str, float]:
    """Write everything about one checkpoint; return its scores."""
    facts = describe_run(path, checkpoint[checkpoints.KEY])
    images = write_report(folder, f"Evaluation of {title(path)}", tested, facts)
    metrics = dict(tested.metrics)
    write_metrics(folder / "metrics.json", metrics)
    write_images(folder, images)
    return metrics


def title(path: str) -> str:
    """What a page calls a checkpoint: by its run, where it lies in one."""
    return Path(path).absolute().parent.parent.name if is_run_checkpoint(path) else Path(path).name


@entry("evaluate")
def main(cfg: DictConfig) -> None:
    folder = Path(HydraConfig.get().runtime.output_dir)
    both = len(measure.checkpoint_paths(cfg, most=len(NAMES))) == len(NAMES)
    Console().print(score_table(compare(cfg, folder)) if both else metrics_table(evaluate(cfg, folder)))
    print(folder)


if __name__ == "__main__":
    main()
