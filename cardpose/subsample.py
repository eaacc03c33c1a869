"""Make a dataset folder out of videos, or add videos to one."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from cardpose.common.command_line import Tool, checked


@checked
def subsample(
    videos: Annotated[
        list[str], typer.Argument(metavar="VIDEO", help="Videos, folders or globs; never changed.")
    ],
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Dataset folder, new or existing.")],
    stride: Annotated[int, typer.Option(min=1, help="Keep every N-th frame.")] = 10,
    select: Annotated[
        Literal["stride", "sharp", "diverse"], typer.Option(metavar="HOW", help="stride, sharp or diverse.")
    ] = "stride",
    store: Annotated[Literal["frames", "videos"], typer.Option(help="What to copy.")] = "frames",
    count_pattern: Annotated[
        str, typer.Option(metavar="REGEX", help="Count in a file name.", show_default="52_cards")
    ] = r"(\d+)[ _-]?cards?(?![a-z])",
) -> Path:
    """Make a dataset folder with frames to label out of videos, or add videos to one.

        cardpose subsample my_videos --out my_footage
        cardpose subsample a.mov b.mp4 --out my_footage --stride 15 --select sharp

    Files in FOLDER:

        videos.csv        a row per video; fill in the column cards
        annotations.json  the frames to label, without labels
        frames/, videos/  the frames as JPEG (--store frames) or the whole videos

    Run it again to add videos. Videos are recognised by their content: existing rows, frames and labels stay.
    The number of cards is read from names such as 52_cards.mp4; --count-pattern none leaves it empty.

    `stride` selects every STRIDE-th frame. `sharp` selects the sharpest frame of each STRIDE, which avoids motion
    blur. `diverse` clusters the frames (k-means), for footage with pauses. Both decode every video twice.

    Returns:
        The dataset folder.

    Raises:
        InputError: an argument is invalid, or no video can be read.
    """
    from cardpose.common.progress import ProgressBar, total_frames
    from cardpose.labelling import subsampling
    from cardpose.labelling.frame_selection import CHOICES
    from cardpose.prediction.sources import nothing_readable

    pattern = subsampling.count_pattern(count_pattern)
    how = subsampling.Subsampling(CHOICES[select], stride, store, pattern)
    sources, notes = subsampling.find_videos(videos)
    passes = 1 if select == "stride" else 2
    with ProgressBar("subsampling", lambda: passes * (total_frames(sources) or 0) or None) as bar:
        for line in notes:
            bar.print(line)
        problems = subsampling.add_videos(sources, out, how, bar)
    if len(problems) == len(sources):
        raise nothing_readable(problems)
    return out


main = Tool(subsample, finish=print, old_words={"videos": ""})

if __name__ == "__main__":
    main()
