"""Measure a trained model, or two side by side."""

from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from cardpose.common.command_line import (
    OLD_FOOTAGE,
    AcceleratorOption,
    DataOption,
    LayoutOption,
    SettingsOption,
    SplitOption,
    Tool,
    checked,
)
from cardpose.common.errors import InputError


class Evaluation(NamedTuple):
    """Folder of the report; metrics.json and remark of each model; of two models, their scores side by side."""

    folder: Path
    metrics: list[dict[str, float]]
    comparison: list[dict[str, str]]
    remarks: list[str]


@checked
def evaluate(
    models: Annotated[
        list[str],
        typer.Argument(metavar="MODEL [MODEL]", help="Checkpoint, run folder or released model, or two."),
    ],
    data: DataOption = None,
    layout: LayoutOption = "auto",
    split: SplitOption = "run",
    out: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="[default: outputs/evaluate_TIME]")
    ] = None,
    settings: SettingsOption = [],  # noqa: B006
    accelerator: AcceleratorOption = "auto",
) -> Evaluation:
    """Measure a trained model on footage whose corners and counts are known.

        cardpose evaluate outputs/RUN                              own test frames
        cardpose evaluate outputs/RUN --data FOLDER --split all    other footage
        cardpose evaluate outputs/RUN --set heatmap.decode=dark    another decoder
        cardpose evaluate outputs/A outputs/B                      compares two

    Files in OUT: report.html, which opens in any browser, metrics.json, frames.csv, videos.csv, and the pictures of
    the report, which TensorBoard shows too. Of two models each has its report, in a/ and b/; comparison.csv has every
    score, changes.csv every frame.

    Returns:
        The report's folder and the scores.

    Raises:
        InputError: an argument, a checkpoint or the footage is invalid.
    """
    from cardpose.common.files import filled_folder
    from cardpose.models import checkpoints
    from cardpose.models.released import find_checkpoint
    from cardpose.prediction.tested import predict_from_sources
    from cardpose.training import evaluation
    from cardpose.training.testing import config_for_test, evaluate_checkpoint, make_split

    if len(models) > 2:
        raise InputError(f"{len(models)} models are given: give one, or two to compare")
    paths = [find_checkpoint(model) for model in models]
    read = [checkpoints.read(path) for path in paths]
    if len(read) == 2 and split == "run":
        evaluation.check_comparable(read)
    tested = []
    for path, checkpoint in zip(paths, read, strict=True):
        config = config_for_test(checkpoint, path, data, layout, split, settings, accelerator)
        network = evaluate_checkpoint(config, path, checkpoint, make_split(config, checkpoint, path))
        tested.append(predict_from_sources(network, config, path, accelerator))
    with filled_folder(out, "outputs/evaluate") as (folder, partial):
        rows = evaluation.write_evaluations(partial, paths, read, tested)
    return Evaluation(folder, [dict(one.metrics) for one in tested], rows, [one.remark for one in tested])


def show(result: Evaluation) -> None:
    """Print the scores and the folder."""
    from rich.console import Console

    from cardpose.evaluation.report import comparison, tables

    one = tables.metrics_table(result.metrics[0])
    Console().print(comparison.score_table(result.comparison) if result.comparison else one)
    print(*filter(None, result.remarks), result.folder, sep="\n")


main = Tool(evaluate, show, OLD_FOOTAGE | {"hydra.run.dir": "--out"})

if __name__ == "__main__":
    main()
