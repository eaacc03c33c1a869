"""Write footage of any layout that cardpose reads as a dataset folder, the footage's bytes unchanged.

python -m cardpose.convert from=cardcut root=../shared/cardcut/data out=footage/cardcut
"""

import logging
from collections.abc import Callable
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from cardpose.cli import entry, forget_empty_run
from cardpose.data.cardcut import read_cardcut
from cardpose.data.folder import DatasetFolder
from cardpose.errors import InputError

READERS: dict[str, Callable[[str | Path], DatasetFolder]] = {
    "cardcut": read_cardcut,
    "folder": DatasetFolder.read,
}

log = logging.getLogger(__name__)


def convert(layout: str, root: str | Path, out: str | Path) -> DatasetFolder:
    """Read `root` in one of the `READERS`' layouts, write the dataset folder `out`, and read that back.

    `out` is whole or not there at all; nothing is written to `root`.

    Raises:
        InputError: an unknown layout, bad input, or an `out` that exists and is not empty.
    """
    if layout not in READERS:
        raise InputError(f"from={layout}: no such layout: choose {' or '.join(READERS)}")
    if Path(out).resolve().is_relative_to(Path(root).resolve()):
        raise InputError(f"out={out}: lies in root={root}: choose a folder outside it")
    READERS[layout](root).copy(out)
    return DatasetFolder.read(out)


@entry("convert")
def main(cfg: DictConfig) -> None:
    missing = sorted(OmegaConf.missing_keys(cfg))
    if missing:
        raise InputError(f"{missing[0]} is not given: add {missing[0]}=<folder>")
    folder = convert(cfg["from"], cfg.root, cfg.out)
    log.info("%s: %d videos, %d labelled frames", cfg.out, len(folder.videos), len(folder.annotations))
    print(cfg.out)
    forget_empty_run(Path(HydraConfig.get().runtime.output_dir))


if __name__ == "__main__":
    main()
