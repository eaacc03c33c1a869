"""DeepLabCut: labeled-data/<video>/CollectedData_<scorer>.csv of a single-animal project, scorer as in config.yaml.

Three header rows (scorer, bodyparts, coords), one row per image, empty cells if not labelled. It stores neither hidden
corners nor the count. `deeplabcut.convertcsv2h5` makes the .h5 file that its training reads.
"""

import csv
from collections import defaultdict
from collections.abc import Sequence
from glob import escape
from pathlib import Path, PurePosixPath

import numpy as np
import yaml

from cardpose.common.errors import InputError, first_line
from cardpose.common.json_files import number
from cardpose.common.packet import CORNERS, NOT_LABELLED, VISIBLE
from cardpose.data.formats.names import short_name
from cardpose.data.formats.records import Label, Labels, Shot, blank, find_columns
from cardpose.data.labels.tables import csv_errors

SCORER = "cardpose"
_FOLDER, _CONFIG = "labeled-data", "config.yaml"
_HEADER = ("scorer", "bodyparts", "coords")


def place(video: str, frame_index: int, suffix: str) -> str:
    """Path of the image."""
    return f"{_FOLDER}/{short_name(video)}/img{frame_index:06d}{suffix}"


def write(folder: Path, shots: Sequence[Shot]) -> None:
    """Write a table in the folder of each video."""
    tables: dict[Path, list[list[str]]] = defaultdict(list)
    for shot in shots:
        if shot.annotation:
            image = PurePosixPath(shot.image)
            corners = np.where(
                shot.annotation.visibility[:, None] == NOT_LABELLED, np.nan, shot.annotation.corners
            )
            # str() of a float32: its shortest exact digits
            cells = ["" if np.isnan(value) else str(value) for value in corners.astype(np.float32).flatten()]
            tables[folder / image.parent].append([*image.parts, *cells])
    for path, rows in tables.items():
        names = [name for corner in CORNERS for name in (corner, corner)]
        head = ([SCORER] * len(names), names, ["x", "y"] * len(CORNERS))
        with (path / f"CollectedData_{SCORER}.csv").open("w", encoding="utf-8", newline="") as stream:
            table = csv.writer(stream, lineterminator="\n")
            table.writerows([what, "", "", *cells] for what, cells in zip(_HEADER, head, strict=True))
            table.writerows(rows)


def read(path: Path) -> Labels:
    """The labels of one table, or of all tables of a project, of its labeled-data or of a folder in it.

    Raises:
        InputError: no table, those of several scorers, a multi-animal project's, or one without the eight corners.
    """
    if path.name == _CONFIG:
        path = path.parent
    tables = _tables(path) if path.is_dir() else [path]
    labels: list[Label] = []
    notes: list[str] = []
    unlabelled = 0
    for table in tables:
        found, others = _read_table(table)
        labels += (label for label in found if not label.empty)
        unlabelled += sum(label.empty for label in found)
        if others:
            notes.append(f"{table.name}: left out body parts that are no corners: {', '.join(others)}")
    if unlabelled:
        notes.append(f"left out {unlabelled} rows without a label")
    return Labels(tuple(labels), _project(tables[0]), tuple(dict.fromkeys(notes)))


def _tables(folder: Path) -> list[Path]:
    """The tables in the folders of the videos; copies, such as those in training-datasets/, are not read."""
    name = (
        f"CollectedData_{escape(_scorer(folder))}.csv"
        if (folder / _CONFIG).is_file()
        else "CollectedData_*.csv"
    )
    patterns = f"{_FOLDER}/*/{name}", f"*/{name}", name
    found = next((tables for one in patterns if (tables := sorted(folder.glob(one)))), [])
    if not found:
        fix = "label some frames first"
        if tables := sorted(folder.rglob(name.replace(".csv", ".h5"))):
            fix = f"write {tables[0].stem}.csv from each .h5 with pandas, read_hdf(...).to_csv(...)"
        raise InputError(f"{folder}: holds no {name.replace('*', '<scorer>')}: {fix}")
    if len(scorers := sorted({table.name for table in found})) > 1:
        raise InputError(
            f"{folder}: has {' and '.join(scorers)}: keep the tables of one scorer, or add {_CONFIG}"
        )
    return found


def _scorer(project: Path) -> str:
    """The scorer in config.yaml of a single-animal project."""
    path = project / _CONFIG
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
        scorer = config["scorer"]
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError) as error:
        raise InputError(f"{path}: does not name the scorer ({first_line(error)}): correct it") from error
    if config.get("multianimalproject"):
        raise InputError(f"{path}: a multi-animal project: use a single-animal one, there is one packet")
    return str(scorer)


def _project(table: Path) -> Path:
    """The folder that the paths in a table are relative to: the one with labeled-data."""
    return next((folder for folder in table.parents if (folder / _FOLDER).is_dir()), table.parent)


def _read_table(path: Path) -> tuple[list[Label], list[str]]:
    """Labels, and the body parts that are no corners."""
    with csv_errors(path), path.open(encoding="utf-8-sig", newline="") as stream:
        head = stream.readline()
        delimiter = next((sign for sign in ";\t" if head.startswith(f"{_HEADER[0]}{sign}")), ",")
        stream.seek(0)
        rows = list(csv.reader(stream, strict=True, delimiter=delimiter))
    if len(rows) > 1 and rows[1] and rows[1][0] == "individuals":
        raise InputError(
            f"{path}: is a multi-animal project's: use a single-animal project, there is one packet"
        )
    if [row[0] if row else "" for row in rows[:3]] != list(_HEADER):
        raise InputError(
            f"{path}: its first rows are not {', '.join(_HEADER)}: give CollectedData_<scorer>.csv"
        )
    parts, coords = rows[1], rows[2]
    start = next((i for i in range(1, len(parts)) if parts[i]), len(parts))
    if coords[start:] != ["x", "y"] * ((len(parts) - start) // 2) or len(coords) != len(parts):
        raise InputError(f"{path}: its coords are not x, y in turn: give labels, not predictions")
    if parts[start::2] != parts[start + 1 :: 2]:
        raise InputError(f"{path}: names x and y of a body part differently: export it again")
    names: list[object] = list(parts[start::2])
    columns, others = find_columns(names, str(path))
    labels = []
    for i, row in enumerate(rows[3:], start=4):
        where = f"{path} row {i}"
        if not any(row):
            continue
        if len(row) != len(parts):
            raise InputError(f"{where}: has {len(row)} cells, not {len(parts)}: correct it")
        image = "/".join(cell for cell in row[:start] if cell).replace("\\", "/")
        corners, visibility = _corners([_point(cell, delimiter) for cell in row[start:]], columns, where)
        labels.append(Label(image, where, corners, visibility))
    return labels, others


def _point(cell: str, delimiter: str) -> str:
    """A number with a decimal point: spreadsheets that part cells by semicolons write a comma."""
    return cell.replace(",", ".") if delimiter == ";" else cell


def _corners(cells: list[str], columns: list[int], where: str) -> tuple[np.ndarray, np.ndarray]:
    corners, visibility = blank()
    for i, column in enumerate(columns):
        pair = cells[2 * column : 2 * column + 2]
        if all(cell.strip().lower() in ("", "nan") for cell in pair):
            continue
        corners[i] = [number(cell, CORNERS[i], where) for cell in pair]
        visibility[i] = VISIBLE
    return corners, visibility
