"""The folder of predictions: a JSON line and a CSV row per frame, a CSV row per clip.

All files are written while the frames arrive, clip after clip, so an interrupted run leaves readable files. A clip is
finished when it has its row in clips.csv.
"""

import csv
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import dropwhile, takewhile
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from cardpose.common.errors import InputError
from cardpose.common.files import numbered, replace_file, write_errors
from cardpose.common.locks import only_command_in
from cardpose.common.packet import CORNERS
from cardpose.fusion.clips import Clip
from cardpose.prediction.records import FrameItem, Prediction

LINES, FRAMES, CLIPS, SETTINGS = "predictions.jsonl", "frames.csv", "clips.csv", "predict.json"
_FILES = (LINES, FRAMES, CLIPS, SETTINGS)
_FRAME_COLUMNS = (
    *("clip", "frame_index", "timestamp", "width", "height", "cards", "cards_std", "thickness_mm", "flag"),
    *("running_cards", "running_low", "running_high", "settled"),
    *(f"{name}_{what}" for name in CORNERS for what in ("x", "y", "confidence", "visible_probability")),
    *("method", "edges", "edges_probability", "pixels_a_card"),
)
_CLIP_COLUMNS = (
    *("clip", "cards", "low", "high", "frames", "frames_used", "bad_frames"),
    *("settled", "answer", "method"),
)


class PredictionRows:
    """Writes predictions as text.

    Args:
        lines, frames, clips: opened for predictions.jsonl, frames.csv and clips.csv.
    """

    def __init__(self, lines: TextIO, frames: TextIO, clips: TextIO) -> None:
        self.files = lines, frames, clips

    def write_frame(
        self, name: str, item: FrameItem, prediction: Prediction, tracked: np.ndarray | None, clip: Clip
    ) -> None:
        """Append a frame to predictions.jsonl and frames.csv.

        Args:
            prediction: of the frame alone.
            tracked: (8, 2) corners smoothed over time, NaN where one is lost; None for pictures.
            clip: the count so far.
        """
        line = json_line(name, item, prediction, tracked, clip)
        self.files[0].write(json.dumps(line, allow_nan=False) + "\n")
        csv.writer(self.files[1]).writerow(map(_cell, _frame_row(name, item, prediction, clip)))

    def write_clip(self, name: str, clip: Clip, bad_frames: int) -> None:
        """Append a clip to clips.csv, which finishes it; `bad_frames` could not be read."""
        numbers = (clip.cards, clip.low, clip.high, len(clip.used), clip.frames_used, bad_frames)
        csv.writer(self.files[2]).writerow(map(_cell, (name, *numbers, clip.settled, str(clip), clip.method)))

    def append(self, texts: Sequence[str]) -> None:
        """Append what another one wrote of a clip, in the order of `files`."""
        for file, text in zip(self.files, texts, strict=True):
            file.write(text)


class PredictionFolder:
    """Writes predictions; a context manager. If no frame could be predicted it leaves no files.

    Args:
        path: the folder; created if missing. None: the first of predictions, predictions_2, ... in the current folder
            without predictions, or to resume the last one with some.
        settings: of the prediction; a run is continued only with the same.
        resume: continue a folder that has predictions; those of an unfinished clip are removed first.

    Raises:
        InputError: the folder has predictions already, or those of other settings, or cannot be written to; another
            command writes to it.
    """

    def __init__(self, path: str | Path | None, settings: Mapping[str, Any], resume: bool) -> None:
        self.path = _default_folder(resume) if path is None else Path(path)
        self.finished: set[str] = set()
        """Names of the finished clips."""
        self._settings = dict(settings)
        self._resume = resume
        self._written = False
        self._stack, self._lock = ExitStack(), ExitStack()

    def __enter__(self) -> "PredictionFolder":
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(
                f"{self.path}: cannot be a folder ({error.strerror}): choose another out"
            ) from error
        taken = f"{self.path}: another command writes to this folder: wait for it, or choose another out"
        with write_errors(self.path):
            self._lock.enter_context(only_command_in(self.path, taken))
        try:
            self._open()
        except BaseException:
            self._stack.close()
            self._lock.close()
            raise
        return self

    def _open(self) -> None:
        with write_errors(self.path):
            if _has_predictions(self.path):
                self._continue()
            with replace_file(self.path / SETTINGS) as temporary:
                temporary.write_text(json.dumps(self._settings, indent=2) + "\n")
            self._rows = PredictionRows(
                *(self._stack.enter_context(_append(self.path / name)) for name in (LINES, FRAMES, CLIPS))
            )
            for file, columns in zip(self._rows.files[1:], (_FRAME_COLUMNS, _CLIP_COLUMNS), strict=True):
                if not file.tell():
                    csv.writer(file).writerow(columns)

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._stack.close()
            if not self._written and not self.finished:
                for name in _FILES:
                    (self.path / name).unlink(missing_ok=True)
                if not any(self.path.iterdir()):
                    self.path.rmdir()

    def write_frame(self, *frame: Any) -> None:
        """See `PredictionRows.write_frame`.

        Raises:
            InputError: the disk is full.
        """
        self._written = True
        with write_errors(self.path):
            self._rows.write_frame(*frame)

    def write_clip(self, name: str, clip: Clip, bad_frames: int) -> None:
        """See `PredictionRows.write_clip`.

        Raises:
            InputError: the disk is full.
        """
        with write_errors(self.path):
            self._rows.write_clip(name, clip, bad_frames)

    def append(self, texts: Sequence[str]) -> None:
        """See `PredictionRows.append`.

        Raises:
            InputError: the disk is full.
        """
        self._written |= any(texts)
        with write_errors(self.path):
            self._rows.append(texts)

    def _continue(self) -> None:
        """Read which clips are finished, and remove the lines of all others from the files."""
        if not self._resume:
            raise InputError(
                f"{self.path}: holds predictions: add --resume to continue, or choose another out"
            )
        try:
            settings = json.loads((self.path / SETTINGS).read_text())
        except (OSError, ValueError):
            settings = None
        if settings != self._settings:
            raise InputError(
                f"{self.path}: holds predictions of another model or overlay: choose another out"
            )
        _keep(self.path / CLIPS, lambda line: len(_cells(line)) == len(_CLIP_COLUMNS))
        with _append(self.path / CLIPS) as file:
            file.seek(0)
            self.finished = {_cells(line)[0] for line in list(file)[1:]}
        _keep(self.path / LINES, lambda line: _clip_of_json(line) in self.finished)
        _keep(
            self.path / FRAMES,
            lambda line: (
                len(cells := _cells(line)) == len(_FRAME_COLUMNS) and cells[0] in {"clip", *self.finished}
            ),
        )


def _has_predictions(folder: Path) -> bool:
    return any((folder / name).exists() for name in _FILES)


def _default_folder(resume: bool) -> Path:
    """See `PredictionFolder`."""
    if resume and (taken := list(takewhile(_has_predictions, numbered("predictions")))):
        return taken[-1]
    return next(dropwhile(_has_predictions, numbered("predictions")))


def json_line(
    name: str, item: FrameItem, prediction: Prediction, tracked: np.ndarray | None, clip: Clip
) -> dict[str, Any]:
    """A line of predictions.jsonl: plain values, null for unknown ones, corners in source pixels."""
    plain = ("corners", "confidence", "visibility", "cards", "cards_std", "thickness_mm", "box")
    return {
        "clip": name,
        "frame_index": item.index,
        "timestamp": _plain(item.timestamp),
        "width": item.width,
        "height": item.height,
        **{key: _plain(getattr(prediction, key)) for key in plain},
        "flag": prediction.flag.label,
        "method": prediction.method,
        "edges": _edges(prediction),
        "tracked": None if tracked is None else _plain(tracked),
        "running": {
            **{key: _plain(getattr(clip, key)) for key in ("cards", "low", "high")},
            "settled": clip.settled,
            "method": clip.method,
        },
    }


def _frame_row(name: str, item: FrameItem, prediction: Prediction, clip: Clip) -> Iterator[Any]:
    """The values of `_FRAME_COLUMNS`."""
    yield from (name, item.index, item.timestamp, item.width, item.height)
    yield from (prediction.cards, prediction.cards_std, prediction.thickness_mm, prediction.flag.label)
    yield from (clip.cards, clip.low, clip.high, clip.settled)
    columns = prediction.corners, prediction.confidence, prediction.visibility
    for (x, y), confidence, visibility in zip(*columns, strict=True):
        yield from (x, y, confidence, visibility)
    edges = _edges(prediction) or {}
    yield from (prediction.method, edges.get("cards"), edges.get("probability"), edges.get("pixels_a_card"))


def _edges(prediction: Prediction) -> dict[str, Any] | None:
    """The count by edges of a frame as plain values; None where edges were not counted."""
    found = prediction.edges
    if found is None:
        return None
    return {
        "cards": None if found.reason else found.cards,
        "probability": _plain(found.probability),
        "pixels_a_card": _plain(found.pitch),
        "reason": found.reason,
    }


def _plain(value: Any) -> Any:
    """Numbers rounded to three decimals, arrays as nested lists, None for NaN and infinity."""
    if isinstance(value, np.ndarray):
        return [_plain(item) for item in value.tolist()]
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return round(value, 3) if math.isfinite(value) else None


def _cell(value: Any) -> Any:
    """As `_plain`, with true and false in lower case; csv writes None as an empty cell."""
    if isinstance(value, bool):
        return str(value).lower()
    return _plain(float(value)) if isinstance(value, float) else value


def _append(path: Path) -> TextIO:
    """Open for appending, line buffered: a killed run loses at most the line that it was writing."""
    return path.open("a+", newline="", encoding="utf-8", buffering=1)


def _keep(path: Path, wanted: Callable[[str], bool]) -> None:
    """Remove the lines of a file that are incomplete or not wanted."""
    if not path.exists():
        return
    with (
        path.open(newline="", encoding="utf-8") as file,
        replace_file(path) as temporary,
        temporary.open("w", newline="", encoding="utf-8") as kept,
    ):
        kept.writelines(line for line in file if line.endswith("\n") and wanted(line))


def _cells(line: str) -> list[str]:
    return next(csv.reader([line]), [])


def _clip_of_json(line: str) -> str | None:
    try:
        return json.loads(line)["clip"]
    except (ValueError, KeyError, TypeError):
        return None
