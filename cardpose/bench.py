"""Measure the speed of the parts of a training. `python -m cardpose.bench --help` explains the benchmarks.

Each figure is the median of `repeats` runs after `warmup` untimed ones, with the lowest and the highest beside it. All
are taken in one process, because only ratios of one run compare on a machine with other load.
"""

from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from rich.console import Console

from cardpose.common.hydra_entry import entry


@entry("bench")
def main(cfg: DictConfig) -> None:
    """Run the benchmarks, write bench.json, and print its timings, the machine and the folder."""
    from cardpose.benchmarks.suite import bench
    from cardpose.benchmarks.timing import loader_share, timings_table
    from cardpose.training import hardware

    hardware.keep_freed_memory()  # as a training does
    folder = Path(HydraConfig.get().runtime.output_dir)
    timings = bench(cfg, folder)
    console = Console()
    console.print(timings_table(timings))
    if share := loader_share(timings):
        console.print(share, highlight=False)
    console.print(", ".join(f"{key} {value}" for key, value in hardware.describe().items()), highlight=False)
    print(folder)


if __name__ == "__main__":
    main()
