"""Predict footage without labels."""

import sys
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from cardpose import __version__
from cardpose.common.command_line import AcceleratorOption, ModelOption, Tool, checked
from cardpose.common.errors import InputError


@checked
def predict(
    sources: Annotated[
        list[str], typer.Argument(metavar="SOURCE", help="Video, picture, folder, glob, camera, -.")
    ],
    model: ModelOption = "packet",
    out: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Default: predictions, _2, ...")] = None,
    overlay: Annotated[bool, typer.Option("--overlay", help="Draw box and count on the footage.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Continue an interrupted run.")] = False,
    jobs: Annotated[int, typer.Option(min=1, help="Processes, a clip each.")] = 1,
    batch_size: Annotated[int, typer.Option(min=1, help="Frames per batch.")] = 16,
    field_of_view: Annotated[
        float | None, typer.Option(min=1, max=170, help="Of the camera, in degrees.")
    ] = None,
    accelerator: AcceleratorOption = "auto",
) -> Path:
    """Corners, visibility and number of cards in footage without labels.

        cardpose predict my.mp4 --model outputs/RUN
        cardpose predict a.mp4 b.jpg --model best.ckpt --out FOLDER --overlay
        cardpose predict 0 --model best.ckpt                  camera 0, until Ctrl-C
        find . -name '*.mp4' | cardpose predict - --model best.ckpt

    A camera is given by its index, and - reads paths from standard input. A video is one clip, and so is a folder
    of frames named by their index (0.jpg, 1.jpg, ...). In other folders each file is a clip. Files in FOLDER:

        predictions.jsonl  a line per frame: corners, visibility, count, flag
        frames.csv         the same as a table, without the smoothed corners
        clips.csv          a row per clip: count, interval, number of frames
        overlay/           videos and pictures with box, corners and count

    The field of view is measured across the longer side of a frame. Default: the one that `cardpose calibrate`
    found, or 50 degrees.

    Returns:
        The folder of the predictions.

    Raises:
        InputError: an argument or every source is invalid. One invalid source of several is reported, not raised.
        KeyboardInterrupt: Ctrl-C; `resume=True` continues.
    """
    from cardpose.common.files import file_digest
    from cardpose.common.progress import ProgressBar, total_frames
    from cardpose.common.threads import share_cores
    from cardpose.models.released import find_model
    from cardpose.prediction.output_folder import PredictionFolder
    from cardpose.prediction.overlay import overlay_paths
    from cardpose.prediction.pipeline import PredictionPipeline
    from cardpose.prediction.predictor import Predictor, choose_device
    from cardpose.prediction.processes import predict_in_processes
    from cardpose.prediction.sources import find_sources, nothing_readable

    path = find_model(model, exported=accelerator != "gpu")
    share_cores()
    load = partial(Predictor.from_file, path, choose_device(accelerator), field_of_view)
    predictor = load()
    found, problems, notes = find_sources(sources, sys.stdin)
    if not found:
        raise InputError(problems[0] if problems else "no source is given: name a picture or video")
    settings = {"cardpose": __version__, "model": file_digest(path), "overlay": overlay}
    settings["field_of_view"] = field_of_view
    with PredictionFolder(out, settings, resume) as folder:
        remaining = [source for source in found if source.name not in folder.finished]
        overlays = overlay_paths(folder.path / "overlay", [source.name for source in found if overlay])
        with ProgressBar("predicting", lambda: total_frames(remaining)) as bar:
            for line in [*notes, *problems]:
                bar.print(line)
            try:
                pipeline = PredictionPipeline(predictor, folder, overlays, batch_size, bar)
                summary = (
                    predict_in_processes(pipeline, remaining, jobs, load) if jobs > 1 else pipeline(remaining)
                )
            except KeyboardInterrupt:
                raise KeyboardInterrupt("add --resume to continue") from None
            summary.failed[:0] = problems
            if summary.failed and not summary.clips and not folder.finished:
                raise nothing_readable(summary.failed)
            bar.print(f"{summary}; {bar.summary}")
    return folder.path


main = Tool(predict, print, {"ckpt": "--model", "source": "", "skip_existing": "--resume"})

if __name__ == "__main__":
    main()
