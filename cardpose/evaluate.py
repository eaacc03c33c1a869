"""Measure a trained model, or two side by side."""

from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from cardpose.common.command_line import (
    AcceleratorOption,
    DataOption,
    LayoutOption,
    SettingsOption,
    SplitOption,
    checked,
    command,
)
from cardpose.common.errors import InputError


class Evaluation(NamedTuple):
    """Folder of the report; metrics.json of each model; of two models, their scores side by side."""

    folder: Path
    metrics: list[dict[str, float]]
    comparison: list[dict[str, str]]


@checked
def evaluate(
    models: Annotated[
        list[str], typer.Argument(metavar="MODEL [MODEL]", help="Checkpoint or run folder, or two.")
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
    from cardpose.common.files import numbered_folder
    from cardpose.models import checkpoints
    from cardpose.models.released import find_checkpoint
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
        trained = checkpoint[checkpoints.KEY]["config"]
        config = config_for_test(trained, data, layout, split, settings, accelerator)
        frames = make_split(config, checkpoint, path)
        tested.append(evaluate_checkpoint(config, path, checkpoint, frames))
    folder = numbered_folder("outputs/evaluate") if out is None else out
    rows: list[dict[str, str]] = []
    if len(tested) == 2:
        rows = evaluation.write_both(folder, paths, read, tested)
    else:
        evaluation.write_evaluation(folder, paths[0], read[0], tested[0])
    return Evaluation(folder, [dict(result.metrics) for result in tested], rows)


def show(result: Evaluation) -> None:
    """Print the scores and the folder."""
    from rich.console import Console

    from cardpose.evaluation.report.comparison import score_table
    from cardpose.evaluation.report.tables import metrics_table

    table = score_table(result.comparison) if result.comparison else metrics_table(result.metrics[0])
    Console().print(table)
    print(result.folder)


main = command(
    evaluate,
    finish=show,
    old_words={"ckpt": "", "data": "--layout", "data.root": "--data", "hydra.run.dir": "--out"},
)

if __name__ == "__main__":
    main()
