"""The folder of predictions: a JSON line and a CSV row per frame, a CSV row per clip.

All are written as the frames come, clip after clip, so that what an interrupted run leaves is readable. A clip is
finished when it has its row in clips.csv.
"""

import csv
import json
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

import numpy as np

from cardpose.common.errors import InputError
from cardpose.common.files import replace_file, write_errors
from cardpose.common.packet import CORNERS
from cardpose.fusion.clips import Clip
from cardpose.prediction.predictor import FramePrediction

LINES, FRAMES, CLIPS, ABOUT = "predictions.jsonl", "frames.csv", "clips.csv", "predict.json"
_FILES = (LINES, FRAMES, CLIPS, ABOUT)
_FRAME_COLUMNS = (
    *("clip", "frame_index", "timestamp", "width", "height", "cards", "cards_std", "thickness_mm", "flag"),
    *("running_cards", "running_low", "running_high", "settled"),
    *(f"{name}_{what}" for name in CORNERS for what in ("x", "y", "confidence", "visible_probability")),
)
_CLIP_COLUMNS = ("clip", "cards", "low", "high", "frames", "frames_used", "bad_frames", "settled", "answer")


@dataclass(frozen=True)
class TrackedFrame:
    """A frame's prediction and what the frames up to it say together.

    Args:
        clip: the source's name.
        index: position of the frame in it.
        timestamp: seconds from its start, NaN for pictures.
        prediction: of the frame alone.
        tracked: (8, 2) corners, those of the box where one was not found, smoothed over time; NaN where one is lost;
            None for pictures, which are no film.
        running: the count so far.
        settled: whether that has stopped moving.
    """

    clip: str
    index: int
    timestamp: float
    prediction: FramePrediction
    tracked: np.ndarray | None
    running: Clip
    settled: bool


class PredictionFolder:
    """Writes predictions; a context manager. Where no frame could be predicted it leaves no files.

    Args:
        path: the folder, made where it is missing.
        about: what made the predictions; a folder is gone on with only where it is the same.
        skip_existing: go on with a folder that holds predictions; those of an unfinished clip are dropped first.

    Raises:
        InputError: the folder holds predictions already, or those of something else, or cannot be written to.
    """

    def __init__(self, path: str | Path, about: Mapping[str, Any], skip_existing: bool) -> None:
        self.path = Path(path)
        self.finished: set[str] = set()
        """Names of the clips that are done."""
        self._about = dict(about)
        self._skip_existing = skip_existing
        self._written = False
        self._stack = ExitStack()

    def __enter__(self) -> "PredictionFolder":
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(
                f"{self.path}: cannot be a folder ({error.strerror}): choose another out"
            ) from error
        with write_errors(self.path):
            if any((self.path / name).exists() for name in _FILES):
                self._go_on()
            with replace_file(self.path / ABOUT) as temporary:
                temporary.write_text(json.dumps(self._about, indent=2) + "\n")
            self._lines, self._frames, self._clips = (
                self._stack.enter_context(_append(self.path / name)) for name in (LINES, FRAMES, CLIPS)
            )
            for file, columns in ((self._frames, _FRAME_COLUMNS), (self._clips, _CLIP_COLUMNS)):
                if not file.tell():
                    csv.writer(file).writerow(columns)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()
        if not self._written and not self.finished:
            for name in _FILES:
                (self.path / name).unlink(missing_ok=True)
            if not any(self.path.iterdir()):
                self.path.rmdir()

    def write_frame(self, frame: TrackedFrame) -> None:
        """Append a frame to predictions.jsonl and frames.csv.

        Raises:
            InputError: the disk is full.
        """
        self._written = True
        with write_errors(self.path):
            self._lines.write(json.dumps(json_line(frame), allow_nan=False) + "\n")
            csv.writer(self._frames).writerow(map(_cell, _frame_row(frame)))

    def write_clip(self, name: str, answer: Clip, settled: bool, bad_frames: int) -> None:
        """Append a clip to clips.csv, which finishes it.

        Raises:
            InputError: the disk is full.
        """
        numbers = (answer.cards, answer.low, answer.high, len(answer.used), answer.frames_used, bad_frames)
        with write_errors(self.path):
            csv.writer(self._clips).writerow(map(_cell, (name, *numbers, settled, str(answer))))

    def _go_on(self) -> None:
        """Read which clips are finished, and keep of the files what belongs to those."""
        if not self._skip_existing:
            raise InputError(
                f"{self.path}: holds predictions: add --resume to continue, or choose another out"
            )
        try:
            about = json.loads((self.path / ABOUT).read_text())
        except (OSError, ValueError):
            about = None
        if about != self._about:
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


def json_line(frame: TrackedFrame) -> dict[str, Any]:
    """A frame as predictions.jsonl holds it: plain values, null for what is unknown, corners in source pixels."""
    said, running = frame.prediction, frame.running
    return {
        "clip": frame.clip,
        "frame_index": frame.index,
        "timestamp": _plain(frame.timestamp),
        "width": said.width,
        "height": said.height,
        "corners": _plain(said.corners),
        "confidence": _plain(said.confidence),
        "visibility": _plain(said.visibility),
        "cards": _plain(said.cards),
        "cards_std": _plain(said.cards_std),
        "thickness_mm": _plain(said.thickness_mm),
        "box": _plain(said.box),
        "flag": said.flag.label,
        "tracked": None if frame.tracked is None else _plain(frame.tracked),
        "running": {
            **{name: _plain(getattr(running, name)) for name in ("cards", "low", "high")},
            "settled": frame.settled,
        },
    }


def _frame_row(frame: TrackedFrame) -> Iterator[Any]:
    """The values of `_FRAME_COLUMNS`."""
    said, running = frame.prediction, frame.running
    yield from (frame.clip, frame.index, frame.timestamp, said.width, said.height)
    yield from (said.cards, said.cards_std, said.thickness_mm, said.flag.label)
    yield from (running.cards, running.low, running.high, frame.settled)
    for (x, y), confidence, visibility in zip(said.corners, said.confidence, said.visibility, strict=True):
        yield from (x, y, confidence, visibility)


def _plain(value: Any) -> Any:
    """Numbers to three decimals, in nested lists where there are many, None for NaN and infinity."""
    if isinstance(value, np.ndarray):
        return [_plain(item) for item in value.tolist()]
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return round(value, 3) if math.isfinite(value) else None


def _cell(value: Any) -> Any:
    """As `_plain`, an empty cell in place of None, true and false in small letters."""
    if isinstance(value, bool):
        return str(value).lower()
    return _plain(float(value)) if isinstance(value, float) else value


def _append(path: Path) -> TextIO:
    """Open for appending, a line at a time: a killed run loses no more than the line it was writing."""
    return path.open("a+", newline="", encoding="utf-8", buffering=1)


def _keep(path: Path, wanted: Callable[[str], bool]) -> None:
    """Leave only the wanted ones of a file's whole lines."""
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
