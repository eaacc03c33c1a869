"""Labels and footage from one layout or tool to another. `python -m cardpose.convert --help` teaches.

python -m cardpose.convert from=cardcut root=../shared/cardcut/data out=footage/cardcut
"""

import logging
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from cardpose.common.errors import InputError
from cardpose.common.hydra_entry import entry, forget_empty_run, require
from cardpose.data.formats.converting import FOLDER, convert, export_to, put_into

log = logging.getLogger(__name__)


@entry("convert")
def main(cfg: DictConfig) -> None:
    require(cfg, {"root": "<folder>"})
    if (cfg.out is None) == (cfg.into is None):
        raise InputError("give one of out=<new folder> and into=<dataset folder>")
    if cfg.into is not None:
        if cfg.to != FOLDER:
            raise InputError(f"into={cfg.into}: is for dataset folders: leave to={cfg.to} away, or give out=")
        log.info("%s: %s", cfg.into, put_into(cfg["from"], cfg.root, cfg.into))
    elif cfg.to == FOLDER:
        folder = convert(cfg["from"], cfg.root, cfg.out)
        log.info("%s: %d videos, %d labelled frames", cfg.out, len(folder.videos), len(folder.annotations))
    else:
        log.info("%s: %d frames", cfg.out, export_to(cfg.to, cfg["from"], cfg.root, cfg.out))
    print(cfg.into if cfg.out is None else cfg.out)
    forget_empty_run(Path(HydraConfig.get().runtime.output_dir))


if __name__ == "__main__":
    main()
