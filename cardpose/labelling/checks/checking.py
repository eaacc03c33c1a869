"""All checks of a dataset folder, their page and their table."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from cardpose.common.errors import InputError
from cardpose.common.files import filled_folder
from cardpose.common.packet import Annotation, FrameId
from cardpose.common.progress import ProgressBar
from cardpose.data.footage.folder import DatasetFolder
from cardpose.data.footage.layouts import read_any
from cardpose.data.splits import from_file
from cardpose.labelling.checks import MAX_RESIDUAL, page
from cardpose.labelling.checks.boxes import check_boxes
from cardpose.labelling.checks.findings import Finding, Kind, write_findings
from cardpose.labelling.checks.footage import check_pictures, check_videos, dataset_of_frame, look
from cardpose.labelling.checks.labels import check_labels

TABLE = "findings.csv"


def check_folder(
    root: Path,
    path: Path,
    split: Path | None = None,
    residual: float = MAX_RESIDUAL,
    duplicate_threshold: float = 3.0,
    pictures: int = 200,
) -> list[Finding]:
    """Check the footage in `root`, and write the page `path` and the table of findings beside it.

    Args:
        root: a dataset folder, or footage in a layout that `read_any` knows.
        path: the page, an HTML file.
        split: a run's split.json, whose sets should not share similar frames; None: videos should not.
        residual: largest distance of a label's corners from their box, root mean square, as a share of the packet's
            extent.
        duplicate_threshold: largest difference of two similar frames in grey levels, root mean square.
        pictures: how many frames the page shows at most.

    Returns:
        The findings, the most serious first.

    Raises:
        InputError: there is no such folder, the split cannot be read, or the page cannot be written.
    """
    faults: list[InputError] = []
    folder = _read(root, faults)
    findings: list[Finding] = []
    drawn: dict[FrameId, np.ndarray] = {}
    if folder is not None:
        set_of = None
        if split is not None:
            set_of = dataset_of_frame(from_file(folder.annotations, path=str(split)).to_dict())
        suspected, boxes = check_boxes(folder.annotations, residual)
        findings = [*suspected, *check_labels(folder.annotations), *check_videos(folder)]
        with ProgressBar("checking", len(folder.annotations)) as bar:
            looks = look(folder, bar.advance, faults.append)
        findings += check_pictures(looks, duplicate_threshold, set_of)
        frames = [(a.video, a.frame_index) for a in folder.annotations]
        drawn = {frames[i]: box for i, box in boxes.items()}
    order = list(Kind)
    findings += [Finding(Kind.RULE, str(fault)) for fault in faults]
    findings.sort(key=lambda f: (order.index(f.kind), -f.value if not math.isnan(f.value) else 0.0))
    with filled_folder(path.parent, "") as (_, partial):
        write_findings(partial / TABLE, findings)
        _write_page(partial / path.name, str(root), folder, findings, drawn, pictures)
    return findings


def _read(root: Path, faults: list[InputError]) -> DatasetFolder | None:
    """The folder without its invalid parts; None where nothing can be read."""
    try:
        folder = read_any(root, on_error=faults.append, unlabelled=True)
        if not folder.annotations:
            faults.append(InputError(f"{root}: holds no label: label some frames first"))
        return folder
    except InputError as error:
        if not root.is_dir():
            raise
        faults.append(error)
        return None


def _write_page(
    path: Path,
    name: str,
    folder: DatasetFolder | None,
    findings: Sequence[Finding],
    boxes: Mapping[FrameId, np.ndarray],
    limit: int,
) -> None:
    labels: dict[FrameId, Annotation] = {}
    counted: dict[str, int] = {}
    if folder is not None:
        labels = {(a.video, a.frame_index): a for a in folder.annotations}
        counted = {"videos": len(folder.videos), "labelled frames": len(labels)}
    frames = page.chosen_frames(findings, limit)
    pictures: dict[FrameId, np.ndarray] = {}
    for video in dict.fromkeys(video for video, _ in frames):
        assert folder is not None
        try:
            for index, image in folder.read_frames(video, [i for v, i in frames if v == video]):
                frame = video, index
                pictures[frame] = page.draw(image, labels[frame], boxes.get(frame))
        except InputError:
            continue  # reported as a finding
    page.write(path, name, findings, counted, frames, pictures)
