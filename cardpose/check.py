"""Look for faults in footage and labels. `python -m cardpose.check --help` teaches; the recipe is `check`."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from cardpose.common.errors import InputError
from cardpose.common.hydra_entry import entry, forget_empty_run, require
from cardpose.common.packet import Annotation, FrameId
from cardpose.common.progress import frame_bar
from cardpose.data.footage.folder import DatasetFolder
from cardpose.data.footage.layouts import read_any
from cardpose.data.splits import from_file
from cardpose.labelling.checks import page
from cardpose.labelling.checks.boxes import check_boxes
from cardpose.labelling.checks.findings import Finding, Kind, write_findings
from cardpose.labelling.checks.footage import check_pictures, check_videos, look, sides
from cardpose.labelling.checks.labels import check_labels

PAGE, TABLE = "index.html", "findings.csv"
BROKEN = 1
"""Exit code where a rule is broken, so that a script can stop there."""


def check(cfg: DictConfig) -> list[Finding]:
    """Check the folder `cfg.data.root` and write page and table to `cfg.out`.

    Args:
        cfg: conf/check.yaml, composed.

    Raises:
        InputError: a key is missing or wrong, the split cannot be read, or `out` cannot be written to.
    """
    _check_keys(cfg)
    faults: list[InputError] = []
    folder = _read(cfg.data.root, faults)
    findings: list[Finding] = []
    drawn: dict[FrameId, np.ndarray] = {}
    if folder is not None:
        side_of = None
        if cfg.split.path is not None:
            side_of = sides(from_file(folder.annotations, path=cfg.split.path).to_dict())
        suspected, boxes = check_boxes(folder.annotations, cfg.misfit)
        findings = [*suspected, *check_labels(folder.annotations), *check_videos(folder)]
        with frame_bar("looking", len(folder.annotations)) as advance:
            looks = look(folder, lambda: advance(1), faults.append)
        findings += check_pictures(looks, cfg.near, side_of)
        frames = [(a.video, a.frame_index) for a in folder.annotations]
        drawn = {frames[i]: box for i, box in boxes.items()}
    order = list(Kind)
    findings += [Finding(Kind.RULE, str(fault)) for fault in faults]
    findings.sort(key=lambda f: (order.index(f.kind), -f.value if not math.isnan(f.value) else 0.0))
    out = Path(cfg.out)
    write_findings(out / TABLE, findings)
    _write_page(out / PAGE, str(cfg.data.root), folder, findings, drawn, cfg.pictures)
    return findings


def _check_keys(cfg: DictConfig) -> None:
    require(cfg, {"data": "<dataset folder>"})
    for key in ("misfit", "near"):
        if not (isinstance(cfg[key], int | float) and cfg[key] > 0):
            raise InputError(f"{key}={cfg[key]}: choose a number above 0")
    if not (isinstance(cfg.pictures, int) and cfg.pictures >= 0):
        raise InputError(f"pictures={cfg.pictures}: choose a whole number from 0")


def _read(root: str, faults: list[InputError]) -> DatasetFolder | None:
    """The folder without what is faulty; None where nothing of it can be read."""
    try:
        folder = read_any(root, on_error=faults.append, unlabelled=True)
        if not folder.annotations:
            faults.append(InputError(f"{root}: holds no label: label some frames first"))
        return folder
    except InputError as error:
        if not Path(root).is_dir():
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
            continue  # it is among the findings
    page.write(path, name, findings, counted, frames, pictures)


@entry("check", paths={"data": "data.root", "split": "split.path"})
def main(cfg: DictConfig) -> None:
    findings = check(cfg)
    forget_empty_run(Path(HydraConfig.get().runtime.output_dir))
    for kind in Kind:
        number = sum(finding.kind is kind for finding in findings)
        if number:
            print(f"{number:6d}  {kind.value}")
    print(Path(cfg.out) / PAGE)
    if any(finding.kind is Kind.RULE for finding in findings):
        raise SystemExit(BROKEN)


if __name__ == "__main__":
    main()
