"""The reports of `cardpose evaluate`: of one model, or of two on the same frames."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cardpose.evaluation.report.comparison import NAMES, check_same_frames, write_comparison
from cardpose.evaluation.report.sections import describe_run, write_report
from cardpose.evaluation.report.tables import write_metrics
from cardpose.evaluation.report.test_result import TestResult
from cardpose.models import checkpoints
from cardpose.training.loggers import write_images
from cardpose.training.testing import frames_to_test


def write_evaluation(folder: Path, path: Path, checkpoint: dict[str, Any], tested: TestResult) -> None:
    """Write the report, the tables and metrics.json of one tested checkpoint."""
    facts = describe_run(path, checkpoint[checkpoints.KEY])
    images = write_report(folder, f"Evaluation of {_title(path)}", tested, facts)
    write_metrics(folder / "metrics.json", dict(tested.metrics))
    write_images(folder, images)


def check_comparable(read: Sequence[dict[str, Any]]) -> None:
    """Check, before the work, that two checkpoints have the same test frames in their own splits.

    Raises:
        InputError: they differ.
    """
    if not any(checkpoint[checkpoints.KEY]["config"]["data"].get("test") for checkpoint in read):
        check_same_frames(*map(frames_to_test, read))


def write_evaluations(
    folder: Path, paths: Sequence[Path], read: Sequence[dict[str, Any]], tested: Sequence[TestResult]
) -> list[dict[str, str]]:
    """Write the report of one tested checkpoint, or of two their comparison, and a report each in a/ and b/.

    Returns:
        The scores of two side by side, see `comparison.score_rows`.
    """
    if len(tested) == 1:
        write_evaluation(folder, paths[0], read[0], tested[0])
        return []
    described = [checkpoint[checkpoints.KEY] for checkpoint in read]
    facts = {
        f"{name}: {key}": value
        for name, path, entry in zip(NAMES, paths, described, strict=True)
        for key, value in describe_run(path, entry).items()
    }
    rows, images = write_comparison(
        folder, tested[0], tested[1], facts, [entry["config"] for entry in described]
    )
    for name, path, checkpoint, result in zip(NAMES, paths, read, tested, strict=True):
        write_evaluation(folder / name, path, checkpoint, result)
    write_images(folder, images)
    return rows


def _title(path: Path) -> str:
    """Name of a checkpoint on a page: its run, where it lies in one."""
    folder = path.absolute().parent
    return folder.parent.name if folder.name == "checkpoints" else path.name
