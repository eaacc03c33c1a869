"""Which frames to label next."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from cardpose.common.command_line import AcceleratorOption, ModelOption, Tool, checked
from cardpose.common.errors import InputError

if TYPE_CHECKING:
    from cardpose.labelling.suggestion import Suggestion


class Suggestions(NamedTuple):
    """The frames, the most useful first, and the table that lists them."""

    frames: "Sequence[Suggestion]"
    path: Path


@checked
def suggest(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="Dataset folder, labelled in part or not at all.")
    ],
    model: ModelOption = "packet",
    n: Annotated[int, typer.Option("-n", min=1, help="Number of frames.")] = 50,
    out: Annotated[Path, typer.Option(metavar="FILE", help="CSV table to write.")] = Path("suggest.csv"),
    stride: Annotated[int, typer.Option(min=1, help="Look at every N-th frame.")] = 10,
    accelerator: AcceleratorOption = "auto",
) -> Suggestions:
    """List the frames of a dataset folder that are most worth a label.

        cardpose suggest my_footage --model outputs/RUN -n 50
        cardpose label my_footage --model outputs/RUN --frames suggest.csv

    A frame is worth a label where the model is uncertain about its corners, where corners or count contradict the
    neighbouring frames, and where it looks unlike the frames that are labelled or suggested already.

    Columns of FILE: video, frame_index, score, uncertainty and disagreement (0 to 1, ranks among the candidates),
    distance (in the network's features; 1 is that of two random frames), and the reason.

    Candidates are the unlabelled frames of annotations.json, as `cardpose subsample` leaves them, every STRIDE-th
    frame of other videos, and all loose frames. After Ctrl-C the same command continues.

    Returns:
        The suggested frames and the path of the table.

    Raises:
        InputError: an argument is invalid, or every frame is labelled.
        KeyboardInterrupt: Ctrl-C; the finished videos are kept for the next run.
    """
    from cardpose.common.files import write_errors
    from cardpose.common.threads import share_cores
    from cardpose.labelling.suggesting import suggest_frames
    from cardpose.models.released import find_model
    from cardpose.prediction.predictor import choose_device

    path = find_model(model)
    if path.suffix.lower() == ".onnx":
        raise InputError(f"{path}: an ONNX file has no features to compare: choose the checkpoint")
    if out.is_dir():
        raise InputError(f"{out}: is a folder: choose a file, for example --out {out / 'suggest.csv'}")
    share_cores()
    with write_errors(out):
        return Suggestions(suggest_frames(folder, path, out, n, stride, choose_device(accelerator)), out)


def show(suggestions: Suggestions) -> None:
    """Print how many frames are suggested, and the path of the table."""
    videos = {frame.video for frame in suggestions.frames}
    print(f"{len(suggestions.frames)} frames of {len(videos)} videos, the most useful first")
    print(suggestions.path)


main = Tool(suggest, finish=show, old_words={"ckpt": "--model", "data": "", "data.root": ""})

if __name__ == "__main__":
    main()
