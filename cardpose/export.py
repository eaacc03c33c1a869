"""Write a trained model as one file for other programs."""

import sys
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import typer

from cardpose.common.command_line import (
    OLD_FOOTAGE,
    DataOption,
    LayoutOption,
    SettingsOption,
    SplitOption,
    Tool,
    checked,
)


class Exported(NamedTuple):
    """The file, and how far its outputs are from PyTorch's, see `cardpose.deploy.parity.compare`."""

    path: Path
    report: dict[str, Any]


@checked
def export(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Checkpoint, run folder or released model.")],
    out: Annotated[Path, typer.Option(metavar="FILE", help="The file to write.")],
    format: Annotated[
        Literal["onnx", "torch"], typer.Option(metavar="FORMAT", help="onnx or torch.")
    ] = "onnx",
    precision: Annotated[
        Literal["float32", "float16", "int8"], typer.Option(metavar="TYPE", help="float32, float16, int8.")
    ] = "float32",
    frames: Annotated[int, typer.Option(min=1, help="Frames compared.")] = 200,
    data: DataOption = None,
    layout: LayoutOption = "auto",
    split: SplitOption = "run",
    calibration_data: Annotated[
        Path | None, typer.Option(metavar="PICTURES", help="For int8.  [default: training frames]")
    ] = None,
    calibration_frames: Annotated[int, typer.Option(min=1, metavar="N", help="Number for int8.")] = 100,
    settings: SettingsOption = [],  # noqa: B006
) -> Exported:
    """Write a trained model as one file for other programs.

        cardpose export outputs/RUN --out model.onnx
        cardpose export outputs/RUN --out int8.onnx --precision int8
        cardpose export outputs/RUN --out model.pt2 --format torch

    Normalisation, network and decoding are in the file; its metadata describes input and outputs. FILE.parity.json
    holds the differences from PyTorch. Exit code 1 where float32 differs by more than 0.05 pixels or 0.02 cards.

    Returns:
        The file's path and the report.

    Raises:
        InputError: an argument, the checkpoint or the footage is invalid.
    """
    from cardpose.deploy.exporting import Choices, export_checkpoint
    from cardpose.models import checkpoints
    from cardpose.models.released import find_checkpoint
    from cardpose.training.testing import config_for_test, make_split

    path = find_checkpoint(model)
    checkpoint = checkpoints.read(path)
    config = config_for_test(checkpoint, path, data, layout, split, settings)
    choices = Choices(format, precision, frames, calibration_data, calibration_frames)
    split_of = make_split(config, checkpoint, path, choices.subsets)
    return Exported(out, export_checkpoint(path, out, config, split_of, choices))


def show(exported: Exported) -> int | None:
    """Print the report and the path; exit code 1 where the file differs too much from PyTorch."""
    from rich.console import Console

    from cardpose.deploy import parity

    for table in parity.tables(exported.report):
        Console().print(table)
    print(exported.path)
    if exported.report["within_limits"] is not False:
        return None
    report = parity.report_path(exported.path)
    print(f"{exported.path}: differs from PyTorch by more than the limits: see {report}", file=sys.stderr)
    return 1


OLD_CALIBRATION = {f"calibration.{name}": f"--calibration-{name}" for name in ("data", "frames")}
main = Tool(export, show, OLD_FOOTAGE | OLD_CALIBRATION)

if __name__ == "__main__":
    main()
