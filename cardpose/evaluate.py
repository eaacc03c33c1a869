"""Measure a trained model. `python -m cardpose.evaluate --help` teaches; the recipe is `evaluate`.

Network, data, split and sizes come from the checkpoint; `data` and `split` name other labelled footage,
`heatmap.decode` another way to find the peaks.
"""

from functools import partial
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from rich.console import Console

from cardpose import build, checkpoints, measure
from cardpose.cli import entry
from cardpose.data.splits import explicit
from cardpose.reports import metrics_table, write_metrics, write_report


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
    checkpoint = measure.read_checkpoint(cfg)
    described = checkpoint[checkpoints.KEY]
    make_split = None
    if not cfg.split:
        name = f"{cfg.ckpt}'s split (for other footage add split=all)"
        make_split = partial(explicit, sides=described["split"], name=name)
    config = measure.merge(described["config"], cfg)
    if cfg.heatmap.decode:
        config.heatmap.decode = cfg.heatmap.decode
        build.build_decoder(config)  # an unknown one is refused before the frames are read
    measured = measure.run(config, checkpoint, make_split)
    write_report(folder, measured.results, measured.sheets, measured.constant, measured.interval)
    write_metrics(folder / "metrics.json", measured.metrics)
    return measured.metrics


@entry("evaluate")
def main(cfg: DictConfig) -> None:
    folder = Path(HydraConfig.get().runtime.output_dir)
    Console().print(metrics_table(evaluate(cfg, folder)))
    print(folder)


if __name__ == "__main__":
    main()
