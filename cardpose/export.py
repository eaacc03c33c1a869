"""Write a trained model as one file for other programs. `python -m cardpose.export --help` teaches.

Normalisation, network and decoding are in the file; its metadata says the rest. A report beside it says how far its
outputs are from PyTorch's.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from cardpose import __version__
from cardpose.common.errors import InputError
from cardpose.common.files import replace_file
from cardpose.common.hydra_entry import entry, forget_empty_run
from cardpose.common.threads import one_torch_thread
from cardpose.deploy import graph as deploy
from cardpose.deploy import onnx_model, parity
from cardpose.deploy.frames import calibration_images, labelled_frames, open_data
from cardpose.models import checkpoints
from cardpose.prediction.backends import OnnxBackend, TorchBackend
from cardpose.training import testing as measure

SUFFIX = {"onnx": ".onnx", "torch": ".pt2"}
BACKENDS: dict[str, Callable[[Path], parity.Run]] = {"onnx": OnnxBackend, "torch": deploy.ProgramBackend}
PRECISIONS = {"onnx": onnx_model.PRECISIONS, "torch": ("float32",)}


def export(cfg: DictConfig) -> tuple[Path, dict[str, Any]]:
    """Write `cfg.ckpt` as `cfg.out` and the parity report beside it.

    Args:
        cfg: conf/export.yaml, composed.

    Returns:
        The file's path, and the report: see `parity.compare`.

    Raises:
        InputError: what the user can mend.
    """
    versions = check(cfg)
    checkpoint = measure.read_checkpoint(cfg)
    described = checkpoint[checkpoints.KEY]
    out = Path(cfg.out or Path(cfg.ckpt).with_suffix(SUFFIX[cfg.format]))
    if out.is_dir():
        raise InputError(f"out={out}: is a folder: name a file in it, such as model{SUFFIX[cfg.format]}")
    run = "/".join(Path(cfg.ckpt).absolute().parts[-3:])
    about = deploy.describe(described, run, cfg.precision, checkpoints.git_commit(), versions)
    with replace_file(out) as temporary, one_torch_thread():
        temporary.touch()  # a forbidden folder is refused now, not after the work
        pytorch = TorchBackend(cfg.ckpt)
        data = open_data(cfg, described, pytorch.module.net)
        images = list(calibration_images(cfg, data)) if cfg.precision == "int8" else []
        program = deploy.trace(pytorch.module, pytorch.size)
        if cfg.format == "torch":
            deploy.save_program(program, temporary, about)
        else:
            onnx_model.write(program, temporary, about, cfg.precision, images)
        exported = BACKENDS[cfg.format](temporary)
        limited = cfg.precision == "float32"
        frames = labelled_frames(data, cfg.frames)
        compared = parity.compare(pytorch, exported, frames, pytorch.fusion, limited=limited)
    head = {"file": out.name, "format": cfg.format, "precision": cfg.precision, "footage": data.name}
    return out, parity.write_report(out, {**head, **compared})


def check(cfg: DictConfig) -> dict[str, str]:
    """Refuse a wrong choice before the work; versions of the libraries that write the file."""
    if cfg.format not in PRECISIONS:
        raise InputError(f"format={cfg.format}: choose {', '.join(PRECISIONS)}")
    if cfg.precision not in PRECISIONS[cfg.format]:
        choices = ", ".join(PRECISIONS[cfg.format])
        raise InputError(f"precision={cfg.precision}: for format={cfg.format} choose {choices}")
    for key in ("frames", "calibration.frames"):
        number = OmegaConf.select(cfg, key)
        if not (isinstance(number, int) and number > 0):
            raise InputError(f"{key}={number}: choose a whole number from 1")
    libraries = onnx_model.require() if cfg.format == "onnx" else {}
    return {"cardpose": __version__, "torch": str(torch.__version__), **libraries}


@entry("export")
def main(cfg: DictConfig) -> None:
    out, report = export(cfg)
    console = Console()
    for table in parity.tables(report):
        console.print(table)
    print(out)
    forget_empty_run(Path(HydraConfig.get().runtime.output_dir))
    if report["within_limits"] is False:
        print(
            f"{out}: differs from PyTorch by more than the limits: see {parity.report_path(out)}",
            file=sys.stderr,
        )
        raise SystemExit(1)


if __name__ == "__main__":
    main()
