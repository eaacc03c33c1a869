"""Convert footage and labels between layouts and tools."""

from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import typer

from cardpose.common.command_line import Tool, checked
from cardpose.common.errors import InputError

Layout = Literal["folder", "cardcut", "coco", "cvat", "label_studio", "deeplabcut", "sleap"]


class Converted(NamedTuple):
    """Summary in words, and the path written."""

    summary: str
    path: Path


@checked
def convert(
    root: Annotated[
        Path, typer.Argument(metavar="ROOT", help="Footage, labels of a tool, or the folder with them.")
    ],
    from_: Annotated[Layout, typer.Option("--from", metavar="LAYOUT", help="Layout of ROOT.")] = "folder",
    to: Annotated[Layout, typer.Option("--to", metavar="LAYOUT", help="Layout of --out.")] = "folder",
    out: Annotated[Path | None, typer.Option(metavar="FOLDER", help="New folder to write.")] = None,
    into: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Dataset folder that gets the labels.")
    ] = None,
) -> Converted:
    """Convert footage and labels from one layout or tool to another. ROOT is never changed.

        cardpose convert ROOT --from cardcut --out FOLDER    as a dataset folder
        cardpose convert ROOT --to cvat --out FOLDER         for another tool
        cardpose convert ROOT --from cvat --into FOLDER      its labels back

    Layouts:

        folder        dataset folder: videos.csv, annotations.json, footage
        cardcut       cardpoints.csv, images/ (cardcut_cnn); no hidden corners
        coco          COCO keypoints, annotations.json
        cvat          CVAT for images 1.1; also reads for video, COCO Keypoints
        label_studio  tasks.json with keypointlabels
        deeplabcut    CollectedData_*.csv; no hidden corners, no count
        sleap         labels.slp, needs the extra "interop"; no count

    ROOT may be a zip. An image is matched by its name VIDEO_frame_INDEX or its path VIDEO/INDEX. What a layout cannot
    store is reported. --into keeps what the layout lacks, and the old tables as annotations.json.bak and
    videos.csv.bak.

    Returns:
        A summary, and the folder.

    Raises:
        InputError: an argument is invalid, or ROOT cannot be read.
    """
    from cardpose.data.formats import converting

    if (out is None) == (into is None):
        raise InputError("give either --out with a new folder or --into with a dataset folder")
    if into is not None:
        if to != "folder":
            raise InputError(f"--into {into}: is for dataset folders: remove --to {to}, or use --out")
        return Converted(str(converting.put_into(from_, root, into)), into)
    assert out is not None
    if to != "folder":
        return Converted(f"{converting.export_to(to, from_, root, out)} frames", out)
    folder = converting.convert(from_, root, out)
    return Converted(f"{len(folder.videos)} videos, {len(folder.annotations)} labelled frames", out)


def show(converted: Converted) -> None:
    """Print what was written, and the folder."""
    print(f"{converted.path}: {converted.summary}\n{converted.path}")


main = Tool(convert, finish=show, old_words={"root": ""})

if __name__ == "__main__":
    main()
