"""Make a released model of runs: `python -m cardpose.deploy.release RUN[,RUN ...] NAME [FOOTAGE=METRICS.json ...]`.

Writes cardpose/zoo/NAME.ckpt, which holds what evaluation, export and a new training need: the weights in half
precision, the configuration and the commit, but neither the optimizer nor the list of frames; and NAME.onnx, which
predicts the same without torch. Of several runs, each started from the one before, the mean of the weights is taken
(Izmailov et al. 2018, Averaging Weights Leads to Wider Optima and Better Generalization). The scores of reports of
`cardpose evaluate`, one for each kind of footage, go into cardpose/zoo/models.json. NAME in place of RUN writes the
ONNX file of the released checkpoint again, and its scores if there are reports.
"""

import json
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cardpose.common.errors import InputError
from cardpose.common.files import file_digest, replace_file
from cardpose.deploy import onnx_model
from cardpose.models import checkpoints
from cardpose.models.listing import CARD, SCORES
from cardpose.models.released import RELEASED, ZOO, find_checkpoint


def slim(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """The part of a checkpoint that is released.

    Raises:
        InputError: a weight does not fit into half precision.
    """
    described = checkpoint[checkpoints.KEY]
    weights = {name: _half(name, value) for name, value in checkpoint["state_dict"].items()}
    config = described["config"]
    if "paths" in config:
        config = _without_folders(config, config["paths"]["run"], config["name"])
    return {
        checkpoints.KEY: {**described, "config": config, "split": {"train": {}, "val": {}, "test": {}}},
        "state_dict": weights,
        "pytorch-lightning_version": checkpoint.get("pytorch-lightning_version", ""),
    }


def with_mean_weights(read: list[dict[str, Any]]) -> dict[str, Any]:
    """The last of some checkpoints of one network, with the mean of the weights of all.

    Raises:
        InputError: they are of different networks.
    """
    last = read[-1]["state_dict"]
    shapes = [{name: value.shape for name, value in one["state_dict"].items()} for one in read]
    if any(one != shapes[-1] for one in shapes):
        raise InputError("the runs have different networks: give runs that started from one another")
    weights = {
        name: torch.stack([one["state_dict"][name].to(value) for one in read]).mean(0)
        if value.is_floating_point()
        else value
        for name, value in last.items()
    }
    return {**read[-1], "state_dict": weights}


def _without_folders(node: Any, run: str, name: str) -> Any:
    """Replace the folders of the machine that trained it in nested plain containers.

    >>> _without_folders({"dirpath": "/a/run/checkpoints", "root": "/a/footage"}, "/a/run", "packet")
    {'dirpath': 'outputs/packet/checkpoints', 'root': 'outputs/footage'}
    """
    if isinstance(node, dict):
        return {key: _without_folders(value, run, name) for key, value in node.items()}
    if isinstance(node, list):
        return [_without_folders(value, run, name) for value in node]
    if isinstance(node, str) and Path(node).is_absolute():
        path = Path(node)
        inside = path.relative_to(run) if path.is_relative_to(run) else None
        return str(Path("outputs", name, inside) if inside is not None else Path("outputs", path.name))
    return node


def _half(name: str, value: Tensor) -> Tensor:
    if not value.is_floating_point() or value.numel() < 64:
        return value.clone()  # scalars such as a calibration keep their precision
    half = value.to(torch.float16)
    if not half.isfinite().all():
        raise InputError(f"weight {name} is too large for half precision: release it in single precision")
    return half


def write_card(name: str, described: dict[str, Any], reports: dict[str, Path]) -> None:
    """Put what a model was made of, and its scores, into the file of all released models.

    Args:
        name: of the model.
        described: the "cardpose" entry of its checkpoint.
        reports: footage -> metrics.json of its report.
    """
    path = ZOO / CARD
    cards = json.loads(path.read_text()) if path.is_file() else {}
    scores = {
        footage: {key: json.loads(report.read_text())[f"test/{key}"] for key in SCORES}
        for footage, report in reports.items()
    }
    cards[name] = {
        "commit": described["git_commit"],
        "versions": described["versions"],
        "seed": described["config"]["seed"],
        "scores": scores,
    }
    with replace_file(path) as temporary:
        temporary.write_text(json.dumps(cards, indent=2) + "\n")


def main(argv: list[str]) -> None:
    """Write a released model and its card; prints paths and sizes."""
    if len(argv) < 2 or argv[1] not in RELEASED or not all("=" in word for word in argv[2:]):
        usage = "usage: python -m cardpose.deploy.release RUN[,RUN ...]"
        raise SystemExit(f"{usage} {'|'.join(RELEASED)} [FOOTAGE=METRICS.json ...]")
    paths, out = [find_checkpoint(run) for run in argv[0].split(",")], ZOO / f"{argv[1]}.ckpt"
    reports = {footage: Path(report) for footage, _, report in (word.partition("=") for word in argv[2:])}
    if paths != [out]:
        checkpoints.write(slim(with_mean_weights([checkpoints.read(path) for path in paths])), out)
    if reports or paths != [out]:
        write_card(argv[1], checkpoints.read(out)[checkpoints.KEY], reports)
    exported = out.with_suffix(".onnx")
    onnx_model.export_network(out, exported, compact=True, checkpoint=file_digest(out))
    for written in (out, exported):
        print(f"{written}: {written.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main(sys.argv[1:])
