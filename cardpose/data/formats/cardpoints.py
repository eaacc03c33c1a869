"""The table of cardcut_cnn: cardpoints.csv and images/<video>_frame_<index>.jpg.

The columns `<corner>_x` contain row / height and `<corner>_y` column / width. A corner is visible with coordinates or
has neither. `cardpose.data.footage.cardcut` reads it.
"""

import csv
from collections.abc import Sequence
from pathlib import Path

from cardpose.common.packet import CARDS_PER_DECK, CORNERS, VISIBLE, Annotation
from cardpose.data.footage.cardcut import TABLE, read_cardcut
from cardpose.data.formats.importing import labels_of
from cardpose.data.formats.records import Labels, Shot


def write(folder: Path, shots: Sequence[Shot]) -> None:
    """Write cardpoints.csv beside images/; a frame without a label is a row with annotated=0."""
    with (folder / TABLE).open("w", encoding="utf-8", newline="") as stream:
        columns = [f"{corner}_{part}" for corner in CORNERS for part in ("visible", "x", "y")]
        head = ["imageName", "annotated", "cards_counted", "total_cards", "videoId"]
        table = csv.DictWriter(stream, [*head, *columns], restval="", lineterminator="\n")
        table.writeheader()
        videos = list(dict.fromkeys(shot.video for shot in shots))
        for shot in shots:
            row: dict[str, object] = {
                "imageName": Path(shot.image).name,
                "annotated": int(shot.annotation is not None),
                "total_cards": CARDS_PER_DECK,
                "videoId": videos.index(shot.video) + 1,
            }
            table.writerow(row | (_cells(shot.annotation) if shot.annotation else {}))


def _cells(annotation: Annotation) -> dict[str, object]:
    cells: dict[str, object] = {"cards_counted": "" if annotation.cards is None else annotation.cards}
    for name, (x, y), seen in zip(CORNERS, annotation.corners, annotation.visibility, strict=True):
        visible = seen == VISIBLE
        cells[f"{name}_visible"] = int(visible)
        cells[f"{name}_x"] = float(y) / annotation.height if visible else 0.0
        cells[f"{name}_y"] = float(x) / annotation.width if visible else 0.0
    return cells


def read(path: Path) -> Labels:
    """The labels of the published layout, given the folder or its table.

    Raises:
        InputError: see `read_cardcut`.
    """
    return labels_of(read_cardcut(path if path.is_dir() else path.parent))
