"""Fit the count to packets of known counts, and measure the camera's field of view."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from cardpose.common.command_line import AcceleratorOption, LayoutOption, SettingsOption, checked, command
from cardpose.common.errors import InputError

if TYPE_CHECKING:
    from cardpose.training.calibration import Fit


class Calibrated(NamedTuple):
    """The calibrated copy and what was fitted."""

    path: Path
    fit: "Fit"


@checked
def calibrate(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Checkpoint or run folder.")],
    data: Annotated[Path, typer.Option(metavar="FOLDER", help="Labelled footage.")],
    clips: Annotated[list[str], typer.Option(metavar="NAME...", help="Videos of known count.")],
    out: Annotated[Path, typer.Option(metavar="FILE", help="The calibrated copy to write.")],
    layout: LayoutOption = "auto",
    settings: SettingsOption = [],  # noqa: B006
    accelerator: AcceleratorOption = "auto",
) -> Calibrated:
    """Fit the count's scale and offset, and the field of view, to your deck and camera.

        cardpose calibrate outputs/RUN --data FOLDER --clips NAME --out own.ckpt

    Film a full deck (52 cards), or several packets of known counts, label them, and enter the counts in videos.csv.
    One clip shows how far the counts are shifted; more clips, and more different ones, show it better. The copy
    counts with this calibration wherever it is used, and measures thickness with the field of view that the labelled
    corners show.

    Returns:
        The copy's path and the fit.

    Raises:
        InputError: an argument, the checkpoint or the footage is invalid, or a clip has no count.
    """
    from functools import partial

    from cardpose.data.splits import explicit
    from cardpose.models import checkpoints
    from cardpose.models.released import find_checkpoint
    from cardpose.training.calibration import calibrate_checkpoint
    from cardpose.training.testing import config_for_test

    path = find_checkpoint(model)
    if not clips:
        raise InputError("no clip is given: name one or more videos of known count, --clips videos/a.mp4")
    if out.is_dir():
        raise InputError(f"{out}: is a folder: choose a file in it, for example {out / 'calibrated.ckpt'}")
    checkpoint = checkpoints.read(path)
    config = config_for_test(
        checkpoint[checkpoints.KEY]["config"], data, layout, "run", settings, accelerator
    )
    frames = partial(explicit, subsets={"test": dict.fromkeys(clips, "all")}, name="--clips")
    fit = calibrate_checkpoint(checkpoint, path, config, clips, frames)
    checkpoints.write(checkpoint, out)
    return Calibrated(out, fit)


def show(calibrated: Calibrated) -> None:
    """Print the fit and the copy's path."""
    fit = calibrated.fit
    view = "unknown from these labels" if fit.field_of_view is None else f"{fit.field_of_view:.0f} degrees"
    print(
        f"cards = {fit.scale:.4f} x cards + {fit.offset:.2f}, from {fit.clips} clips; field of view: {view}"
    )
    print(calibrated.path)


main = command(
    calibrate,
    finish=show,
    old_words={"ckpt": "", "data": "--layout", "data.root": "--data"},
    several=("--clips",),
)

if __name__ == "__main__":
    main()
