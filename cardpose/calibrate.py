"""Fit the count to packets of known counts, and measure the camera's field of view."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from cardpose.common.command_line import AcceleratorOption, LayoutOption, SettingsOption, Tool, checked
from cardpose.common.errors import InputError

if TYPE_CHECKING:
    from cardpose.training.calibration import Fit


class Calibrated(NamedTuple):
    """The calibrated copy and what was fitted."""

    path: Path
    fit: "Fit"


@checked
def calibrate(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Released, or a file.")] = "packet",
    data: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Or labelled footage.")] = None,
    clips: Annotated[list[str], typer.Option(metavar="NAME...", help="Videos in it.")] = [],  # noqa: B006
    out: Annotated[Path, typer.Option(metavar="FILE", help="The copy.")] = Path("calibrated.ckpt"),
    clip: Annotated[list[str], typer.Option(metavar="FILE...", help="Clips to fit to.")] = [],  # noqa: B006
    cards: Annotated[list[int], typer.Option(min=1, max=104, help="Their counts.")] = [],  # noqa: B006
    layout: LayoutOption = "auto",
    settings: SettingsOption = [],  # noqa: B006
    accelerator: AcceleratorOption = "auto",
) -> Calibrated:
    """Fit the count to your deck and camera.

        cardpose calibrate --clip full_deck.mp4 --cards 52
        cardpose calibrate outputs/RUN --data FOLDER --clips NAME --out own.ckpt

    Film a full deck, or packets of known counts. No labels are needed: the model finds the corners. One clip corrects
    about half of the shift, more clips more. cardpose predict my.mp4 --model own.ckpt then counts with this
    calibration. With labelled footage (--data) the field of view is measured too.

    Returns:
        The copy's path and the fit.

    Raises:
        InputError: an argument, the checkpoint or the footage is invalid, or a clip has no count.
    """
    from functools import partial

    from cardpose.common.threads import share_cores
    from cardpose.data.splits import explicit
    from cardpose.models import checkpoints
    from cardpose.models.released import find_checkpoint
    from cardpose.prediction.counting import estimate_counts
    from cardpose.prediction.predictor import Predictor, choose_device
    from cardpose.prediction.tested import predict_from_sources
    from cardpose.training.calibration import calibrate_counts, camera, per_video
    from cardpose.training.testing import config_for_test, evaluate_checkpoint

    path = find_checkpoint(model)
    if bool(clip) == bool(data and clips):
        raise InputError("no clip is given: add --clip deck.mp4 --cards 52, or --data FOLDER --clips NAME")
    if out.is_dir():
        raise InputError(f"{out}: is a folder: choose a file in it, for example {out / 'calibrated.ckpt'}")
    checkpoint = checkpoints.read(path)
    if clip:
        share_cores()
        if len(cards) != len(clip):
            raise InputError(f"--cards: give {len(clip)} counts, one for each clip")
        predicted = estimate_counts(Predictor.from_file(path, choose_device(accelerator)), clip)
        fit = calibrate_counts(checkpoint, clip, cards, predicted, None)
    else:
        config = config_for_test(checkpoint, path, data, layout, "run", settings, accelerator)
        frames = partial(explicit, subsets={"test": dict.fromkeys(clips, "all")}, name="--clips")
        tested = evaluate_checkpoint(config, path, checkpoint, frames)
        tested = predict_from_sources(tested, config, path, accelerator)
        fit = calibrate_counts(checkpoint, clips, *per_video(tested.videos), camera(config, clips))
    checkpoints.write(checkpoint, out)
    return Calibrated(out, fit)


def show(calibrated: Calibrated) -> None:
    """Print the fit and the copy's path."""
    path, fit = calibrated
    view = "as before" if fit.field_of_view is None else f"{fit.field_of_view:.0f} degrees"
    print(f"cards = {fit.scale:.4f} x cards + {fit.offset:.2f}, from {fit.clips} clips; view: {view}")
    print(path)


main = Tool(
    calibrate,
    finish=show,
    old_words={"ckpt": "", "data": "--layout", "data.root": "--data"},
    several=("--clip", "--cards", "--clips"),
)

if __name__ == "__main__":
    main()
