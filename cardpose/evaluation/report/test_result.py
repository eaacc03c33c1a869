"""A tested model: scores, and label, prediction and picture of every frame."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from cardpose.common.scores import worse_than_constant
from cardpose.data.dataset import CardDataset
from cardpose.data.footage.folder import DatasetFolder
from cardpose.evaluation.metrics.results import FrameResult
from cardpose.evaluation.report.drawing import draw_result
from cardpose.evaluation.report.tables import Cell, video_rows
from cardpose.fusion.intervals import Interval
from cardpose.fusion.settings import FusionConfig


class Frames:
    """Pictures of tested frames, at the size of the network's input and of the source.

    Args:
        dataset: one of a data module.
        footage: that the dataset is of.
    """

    def __init__(self, dataset: CardDataset, footage: DatasetFolder) -> None:
        videos = (footage.videos[number].file for number in dataset.video)
        names = zip(videos, dataset.frame_index.tolist(), strict=True)
        self.dataset, self.footage = dataset, footage
        self._row = {name: row for row, name in enumerate(names)}

    def row(self, result: FrameResult) -> int:
        """Index of the frame in the dataset."""
        return self._row[result.video, result.frame_index]

    def image(self, result: FrameResult) -> np.ndarray:
        """(H, W, 3) uint8 RGB."""
        return self.dataset.cache.frame(self.dataset.rows[self.row(result)])

    def sources(self, results: Sequence[FrameResult]) -> Iterator[tuple[FrameResult, np.ndarray]]:
        """Each frame with its source frame, (H, W, 3) uint8 RGB, one at a time; videos and frames in order.

        Raises:
            InputError: the footage cannot be read.
        """
        for video in dict.fromkeys(result.video for result in results):
            own = {result.frame_index: result for result in results if result.video == video}
            for index, image in self.footage.read_frames(video, list(own)):
                yield own[index], image

    def draw(self, result: FrameResult) -> np.ndarray:
        """See `drawing.draw_result`."""
        return draw_result(self.image(result), self.dataset.to_source[self.row(result)], result)


@dataclass(frozen=True)
class TestResult:
    """Result of testing a model.

    Args:
        metrics: by the keys of metrics.json, test/...
        results: one per frame.
        frames: their pictures.
        footage: description of the footage.
        constant: the count that the constant predictor predicts.
        interval: the model's calibration, None where it has none.
        fusion: settings by which the frames of a video are fused.
        training: optimizer steps, number of training videos, and the weights that it started from.
    """

    metrics: Mapping[str, float]
    results: Sequence[FrameResult]
    frames: Frames
    footage: str
    constant: float
    interval: Interval | None
    fusion: FusionConfig
    training: tuple[int, int, str | None]

    @property
    def remark(self) -> str:
        """See `scores.worse_than_constant`."""
        return worse_than_constant(self.metrics, *self.training)

    @cached_property
    def videos(self) -> list[dict[str, Cell]]:
        """Rows of videos.csv, see `tables.video_rows`."""
        return video_rows(self.results, self.interval, self.fusion)
