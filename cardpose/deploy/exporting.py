"""Export of a checkpoint as one file, compared with PyTorch on labelled frames."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from cardpose.common.errors import InputError
from cardpose.common.files import replace_file
from cardpose.common.threads import one_torch_thread
from cardpose.deploy import graph, onnx_model, parity
from cardpose.deploy.frames import calibration_images, labelled_frames, open_data
from cardpose.models import checkpoints
from cardpose.prediction.backends import OnnxBackend
from cardpose.prediction.torch_backend import TorchBackend
from cardpose.training import hardware
from cardpose.training.testing import MakeSplit

Format = Literal["onnx", "torch"]
Precision = Literal["float32", "float16", "int8"]

BACKENDS: dict[str, Callable[[Path], parity.Run]] = {"onnx": OnnxBackend, "torch": graph.ProgramBackend}
PRECISIONS: dict[str, Sequence[str]] = {"onnx": onnx_model.PRECISIONS, "torch": ("float32",)}


@dataclass(frozen=True)
class Choices:
    """How to export.

    Args:
        format: "onnx", or "torch" for a torch.export program.
        precision: of the network; int8 is calibrated on pictures.
        frames: at most so many frames are compared.
        calibration_data: folder of pictures for int8; None: the training frames.
        calibration_frames: at most so many of them.
    """

    format: Format = "onnx"
    precision: Precision = "float32"
    frames: int = 200
    calibration_data: Path | None = None
    calibration_frames: int = 100

    @property
    def subsets(self) -> tuple[str, ...]:
        """The subsets of the split that are needed: the tested frames are compared, training frames calibrate int8."""
        calibrated = self.precision == "int8" and self.calibration_data is None
        return ("train", "test") if calibrated else ("test",)


def export_checkpoint(
    path: Path, out: Path, config: Mapping[str, Any], make_split: MakeSplit, choices: Choices
) -> dict[str, Any]:
    """Write a checkpoint as `out`, and the parity report beside it.

    Args:
        config: of the footage to compare on, as `config_for_test` returns it.
        make_split: annotations -> split, the test frames are compared.
        choices: format and precision.

    Returns:
        The parity report, see `parity.compare`.

    Raises:
        InputError: a choice is not possible, a library is missing, or the footage is invalid.
    """
    format, precision = choices.format, choices.precision
    libraries = _check(out, format, precision)
    with replace_file(out) as temporary, replace_file(parity.report_path(out)) as report, one_torch_thread():
        temporary.touch()  # a folder that may not be written to is refused before the work
        pytorch = TorchBackend(path)
        run = "/".join(path.absolute().parts[-3:])
        about = graph.describe(pytorch.described, run, precision, libraries)
        config = {**config, "data": {**config["data"], "size": pytorch.size}}
        with checkpoints.configuration_errors(path):
            data = open_data(config, pytorch.module.net, make_split)
        images: list[np.ndarray] = []
        if precision == "int8":
            images += calibration_images(choices.calibration_data, choices.calibration_frames, data)
        program = graph.trace(pytorch.module, pytorch.size)
        if format == "torch":
            graph.save_program(program, temporary, about)
        else:
            onnx_model.write(program, temporary, about, precision, images)
        exported = BACKENDS[format](temporary)
        frames, limited = labelled_frames(data, choices.frames), precision == "float32"
        compared = parity.compare(pytorch, exported, frames, pytorch.fusion, limited=limited)
        head = {"file": out.name, "format": format, "precision": precision, "footage": data.name}
        whole = {**head, **compared, "machine": hardware.describe()}
        report.write_text(json.dumps(whole, indent=2) + "\n")
    return whole


def _check(out: Path, format: str, precision: str) -> dict[str, str]:
    """Check the choices before the work; versions of the libraries that write the file, besides torch."""
    if precision not in PRECISIONS[format]:
        choices = ", ".join(PRECISIONS[format])
        raise InputError(f"--precision {precision}: for --format {format} choose {choices}")
    if out.is_dir():
        raise InputError(f"{out}: is a folder: choose a file in it, for example {out / 'model.onnx'}")
    return onnx_model.require() if format == "onnx" else {}
